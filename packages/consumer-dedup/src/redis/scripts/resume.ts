import { defineScript } from '../script.js'
import { sentinel } from './sentinel.js'

// A restart that lost nothing: the server was durable before it and is now. ARGV[3] the run that was found durable.
export const resume = defineScript(String.raw`${sentinel}
if loss() ~= 'restarted' then return answer('unneeded') end
if found.run ~= ARGV[3] or known.durable ~= '1' then return answer('refused') end
redis.call('HSET', KEYS[1], 'run', found.run, 'promotion', found.promotion, 'history', found.history, 'evicted', found.evicted)
return answer('resumed')
`)
