import { defineScript } from '../script.js'
import { mark } from './mark.js'
import { sentinel } from './sentinel.js'

// The effect failed: the next one may claim at once. A claim of somebody else stays.
export const release = defineScript(String.raw`${sentinel}${mark}
local before = readMark()
if before.state == 'claimed' and before.token == ARGV[3] then
  redis.call('DEL', KEYS[2])
  advance()
end
return answer('released')
`)
