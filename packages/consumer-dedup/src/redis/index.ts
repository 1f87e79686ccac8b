/** Dedup in Redis, usable alone: with a consumer of your own, or in front of any effect. */
export type { RedisCommand, RedisEffect } from './commands.js'
export {
  createRedisDedup,
  type EffectMaker,
  type FilteredContext,
  type FilteredEffect,
  type OnceOptions,
  type OnceOutcome,
  type RedisDedup,
} from './dedup.js'
export { readDatabaseLife } from './database-life.js'
export { redisFilter, type FilterCounts, type InboxFilter, type RedisFilterOptions } from './filter.js'
export type { RedisLoss } from './memory.js'
export type { EventKey } from './names.js'
export type { AskDatabase, RedisDedupOptions } from './options.js'
export type { RedisClient } from './script.js'
export { assertDedupWindow, dedupWindowNeededMs, type DedupWindow, type RedeliveryHorizon } from './window.js'
