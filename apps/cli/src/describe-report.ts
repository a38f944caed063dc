import type { PackReport } from '@kms/evidence';

/** What is said of evidence that is good: the first line is the result, the others say what it rests on. */
export function describeReport(report: PackReport): string[] {
  const { checkpoint, signatures } = report.checkpoint;
  const records = report.to - report.from;
  const holes = report.writers.reduce((sum, writer) => sum + writer.holes, 0);
  const range = records === checkpoint.size ? '' : ` (indexes ${report.from} to ${report.to - 1})`;
  return [
    `ok: ${records} records${range}, size ${checkpoint.size}, root ${Buffer.from(checkpoint.root).toString('base64')}`,
    `log: ${checkpoint.origin}, signed by ${signatures.map(({ name, keyId }) => `${name}+${keyId.toString(16).padStart(8, '0')}`).join(', ')}`,
    ...report.extends.map((size) => `extends the checkpoint of ${size} records`),
    `writers: ${report.writers.length}, ${report.links} links of their chains checked, ${holes} numbers between that are not in this log`,
    ...(report.unchecked === 0 ? [] : [`${report.unchecked} records came too late for their place in a chain to be checked`]),
  ];
}

/** What must be said where the keys came out of the evidence itself. */
export const OWN_KEYS =
  'The keys were taken from the evidence itself, so this shows that it is whole and agrees with itself, not who made it: give --key.';
