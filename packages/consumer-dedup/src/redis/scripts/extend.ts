import { defineScript } from '../script.js'
import { mark } from './mark.js'
import { sentinel } from './sentinel.js'

// A lease goes on, for whoever still owns the claim. ARGV[4] leaseMs, ARGV[5] retentionMs.
export const extend = defineScript(String.raw`${sentinel}${mark}
local lost = loss()
if lost then return answer('amnesia', lost) end
local before = readMark()
if before.state ~= 'claimed' or before.token ~= ARGV[3] then return answer('lost', before.state) end
writeClaim(now() + ARGV[4], ARGV[5])
return answer('extended')
`)
