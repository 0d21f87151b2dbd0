// What the host of a virtual machine takes of the CPU time that its programs want. Meanwhile all of them stand still, whatever their priority.

/**
 * Share (0 to 1) of the wanted CPU time that was taken away since the machine started; `stat` is the text of /proc/stat. Undefined where the kernel does
 * not say, or nothing has run yet. Source: proc_stat(5).
 */
export function stolenShare(stat: string): number | undefined {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(" ").map(Number);
  if (fields === undefined || fields.length < 8 || fields.some(Number.isNaN)) return undefined;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = fields;
  const wanted = user + nice + system + irq + softirq + stolen;
  return wanted > 0 ? stolen / wanted : undefined;
}
