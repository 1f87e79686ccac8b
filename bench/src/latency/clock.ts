/** The machine's monotonic clock, in milliseconds: the same in every process, so that times of one can be taken from those of another. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6
