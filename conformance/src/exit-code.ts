/** As for all commands here: 0 done, 1 a promise is broken, 2 wrong use, 3 a service is unavailable. */
export const exitCodes = { done: 0, failed: 1, wrongUse: 2, unavailable: 3 } as const
