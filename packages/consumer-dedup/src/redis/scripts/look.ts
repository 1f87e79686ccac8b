import { defineScript } from '../script.js'
import { sentinel } from './sentinel.js'

// What this server is, through the same route as every other script: in a cluster, the node that has the slot.
export const look = defineScript(String.raw`${sentinel}
local persistence = redis.call('INFO', 'persistence')
local rewriting = string.find(persistence, 'aof_rewrite_in_progress:1') or string.find(persistence, 'aof_rewrite_scheduled:1')
return answer('looked', info('server', 'redis_version'), found.run,
  string.match(persistence, 'aof_enabled:(%d)'), rewriting and 1 or 0, known.durable or '', loss() or '')
`)
