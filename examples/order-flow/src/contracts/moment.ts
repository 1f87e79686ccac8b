import { z } from 'zod'

/**
 * What every event carries: which order, and which version of the row that it tells about. The version goes up under
 * the row's lock, so whoever reads the topic can check that nothing is missing, doubled or out of order.
 */
export const moment = { orderId: z.uuid(), version: z.int().positive() }
