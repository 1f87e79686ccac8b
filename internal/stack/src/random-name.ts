import { randomBytes } from 'node:crypto'

/** A name that no other test uses, safe as a database, topic or group name: `orders-1f0c9a3b7e`. */
export const randomName = (prefix: string): string => `${prefix}-${randomBytes(5).toString('hex')}`
