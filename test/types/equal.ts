// Statements about types: a file of them compiles or it does not; nothing here runs.

/** `true` if both are the same type, `readonly` and optional included, else `false`. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only for `true`. */
export function holds<_Statement extends true>(): void {}

/** The type of an option that a value must have. */
export type RequiredKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? never : K }[keyof T];

holds<Equal<{ readonly a: 1 }, { readonly a: 1 }>>();
// @ts-expect-error: readonly is part of a type
holds<Equal<{ readonly a: 1 }, { a: 1 }>>();
// @ts-expect-error: so is a question mark
holds<Equal<{ a?: 1 }, { a: 1 | undefined }>>();
// @ts-expect-error: the widest type equals no other
holds<Equal<unknown, 1>>();
