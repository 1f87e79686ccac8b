import { defineScript } from '../script.js'
import { sentinel } from './sentinel.js'

// Whether this server writes everything to disk before it answers, as somebody has just read it. ARGV[3] the run that was
// looked at: another one is not meant. ARGV[4] 0 or 1.
export const noteDurability = defineScript(String.raw`${sentinel}
if found.run ~= ARGV[3] or known.run ~= ARGV[3] then return answer('stale') end
redis.call('HSET', KEYS[1], 'durable', ARGV[4])
return answer('noted')
`)
