// The first byte of the direct messages of the ring: whom in the daemon they are for, and what they say. A number that was used once is used for nothing else: nodes of another version
// may still send it. 2 and 4 were those of shorter records of flows.

/** Of connections, between those that handle them and those that would: lib/conntrack. */
export const CONNECTIONS_KIND = { copy: 1, move: 5, taken: 6 } as const;
/** Of flows, between authorities and the others: lib/steering/flowTalk.ts. */
export const FLOWS_KIND = { asked: 3, told: 9, known: 10 } as const;
/** How busy a node is: lib/steering/loads.ts. */
export const LOAD_KIND = 11;
/** Of flows, for operators: lib/gateway/flowInquiry.ts. */
export const INQUIRY_KIND = { asked: 7, told: 8 } as const;
