import { defineScript } from '../script.js'
import { sentinel } from './sentinel.js'

// A new incarnation, when the old one is lost; when it is not, everything stays. ARGV[3] the new incarnation, ARGV[4] for
// how long a missing mark proves nothing. An evicting server gets none: it would forget again.
export const renew = defineScript(String.raw`${sentinel}
local lost = loss()
if not lost or lost == 'evicting' then return answer(lost or 'intact') end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'incarnation', ARGV[3], 'run', found.run, 'promotion', found.promotion,
  'history', found.history, 'evicted', found.evicted, 'sequence', 0, 'durable', 0, 'begun', whole(now()),
  'doubt', whole(now() + tonumber(ARGV[4])))
known.incarnation = ARGV[3]
known.sequence = 0
return answer('renewed', lost)
`)
