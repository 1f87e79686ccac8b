import { defineScript } from '../script.js'
import { mark } from './mark.js'
import { sentinel } from './sentinel.js'

// The effect is done: only the owner of the claim may say so. ARGV[4] retentionMs, from now on.
export const finish = defineScript(String.raw`${sentinel}${mark}
local lost = loss()
if lost then return answer('amnesia', lost) end
local before = readMark()
if before.token ~= ARGV[3] then return answer('lost', before.state) end
if before.state == 'claimed' then writeDone(ARGV[4]) end
return answer('finished')
`)
