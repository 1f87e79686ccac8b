/** Serialization failures and deadlocks are run again so often before they count as an attempt. */
export const rerunsMax = 30
/** The waits between. */
export const rerunBackoff = { minMs: 5, maxMs: 1_000 }
