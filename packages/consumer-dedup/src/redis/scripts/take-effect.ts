import { defineScript } from '../script.js'
import { mark } from './mark.js'
import { sentinel } from './sentinel.js'

// Mark and effect in one atomic step, for whoever has no claim of the event or owns it. KEYS[3..] the keys of the effect.
// ARGV[4] retentionMs, ARGV[5] 1 when the caller has asked its database about a missing mark, ARGV[6] bytesMax, ARGV[7..] the commands: each its number of words, then these.
//
// Lua does not roll back, so nothing runs before each command is known, has declared keys only and is allowed to this
// user; and when one of several fails, the values that the keys had are restored. They are copied beforehand, and what is
// too large to copy is refused. A single command needs no copy: one that fails changes nothing.
export const takeEffect = defineScript(String.raw`${sentinel}${mark}
local lost = loss()
if lost then return answer('amnesia', lost) end
local before = readMark()
if before.state == 'done' then return answer(before.token == ARGV[3] and 'handled' or 'duplicate') end
local mine = before.state == 'claimed' and before.token == ARGV[3]
local left = before.state == 'claimed' and before.ends - now() or 0
if left > 0 and not mine then return answer('held', left) end
if known.doubt > now() and ARGV[5] ~= '1' then return answer('doubt') end

local declared = {}
for number = 3, #KEYS do declared[KEYS[number]] = true end
-- What they do elsewhere, no copy of a key brings back.
local elsewhere = { spublish = true, move = true, copy = true, migrate = true }

local function objection(words)
  if elsewhere[string.lower(words[1])] then return 'has an effect outside of its keys' end
  local keys = redis.pcall('COMMAND', 'GETKEYS', unpack(words))
  if keys.err then return keys.err end
  for _, key in ipairs(keys) do
    if not declared[key] then return 'uses a key that is not declared: ' .. key end
  end
  if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(words)) then return 'is not allowed to this user (NOPERM)' end
  return false
end

local commands = {}
local at = 7
while at <= #ARGV do
  local words = {}
  for word = 1, tonumber(ARGV[at]) do words[word] = ARGV[at + word] end
  commands[#commands + 1] = words
  at = at + #words + 1
end
for number, words in ipairs(commands) do
  local why = objection(words)
  if why then return answer('refused', number, why) end
end

local copies = {}
if #commands > 1 then
  if not redis.acl_check_cmd then return answer('refused', 0, 'more than one command needs Redis 7.0') end
  for number = 3, #KEYS do
    local key = KEYS[number]
    if not (redis.acl_check_cmd('restore', key, '0', '') and redis.acl_check_cmd('del', key)) then
      return answer('refused', 0, 'RESTORE and DEL are not allowed to this user (NOPERM): ' .. key)
    end
    local bytes = redis.call('MEMORY', 'USAGE', key)
    if bytes and bytes > tonumber(ARGV[6]) then
      return answer('refused', 0, key .. ' has ' .. bytes .. ' bytes, too many to copy')
    end
    copies[key] = { value = redis.call('DUMP', key), expires = redis.call('PEXPIRETIME', key) }
  end
end

local function restore()
  for key, copy in pairs(copies) do
    local changed = redis.call('DUMP', key) ~= copy.value or redis.call('PEXPIRETIME', key) ~= copy.expires
    if changed and not copy.value then
      redis.call('DEL', key)
    elseif changed then
      local expires = copy.expires > 0 and whole(copy.expires) or '0'
      redis.call('RESTORE', key, expires, copy.value, 'REPLACE', 'ABSTTL')
    end
  end
end

-- First a claim whose lease is over, which is as good as none: if this user may not write marks, or there is no memory
-- left, it is found out while nothing has changed. After a first write Redis refuses a script no more memory.
writeClaim(0, ARGV[4])
for number, words in ipairs(commands) do
  local reply = redis.pcall(unpack(words))
  if type(reply) == 'table' and reply.err then
    restore()
    redis.pcall('DEL', KEYS[2])
    return answer('refused', number, reply.err)
  end
end
writeDone(ARGV[4])
return answer('handled')
`)
