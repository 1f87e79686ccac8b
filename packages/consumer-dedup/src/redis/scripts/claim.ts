import { defineScript } from '../script.js'
import { mark } from './mark.js'
import { sentinel } from './sentinel.js'

// The right to handle an event, for the length of a lease. ARGV[4] leaseMs, ARGV[5] retentionMs.
// Answers claimed (was it taken over?, is a missing mark no proof?), done, held (how long yet).
export const claim = defineScript(String.raw`${sentinel}${mark}
local lost = loss()
if lost then return answer('amnesia', lost) end
local before = readMark()
if before.state == 'done' then return answer('done') end
local mine = before.state == 'claimed' and before.token == ARGV[3]
local left = before.state == 'claimed' and before.ends - now() or 0
if not mine and left > 0 then return answer('held', left) end
writeClaim(now() + ARGV[4], ARGV[5])
local takenOver = before.state == 'claimed' and not mine
local inDoubt = known.doubt > now()
return answer('claimed', takenOver and 1 or 0, inDoubt and 1 or 0)
`)
