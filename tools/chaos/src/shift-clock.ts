// Loaded into a service before its own code: its wall clock is off by KMS_CLOCK_SHIFT_MS milliseconds.
const shift = Number(process.env['KMS_CLOCK_SHIFT_MS']);
const RealDate = Date;

globalThis.Date = class extends RealDate {
  constructor(...given: [] | [number]) {
    if (given.length === 0) super(RealDate.now() + shift);
    else super(...given);
  }

  static override now(): number {
    return RealDate.now() + shift;
  }
} as DateConstructor;
