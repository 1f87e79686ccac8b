// The state of an event: 'claimed TOKEN UNTIL' or 'done TOKEN'. The lease is part of the value and not the life of the key:
// whoever holds the token may still finish after it, as long as nobody has taken over.
//
// KEYS[2] mark; ARGV[3] the caller's token. Of a command that ioredis sent again after a broken connection, the token
// tells that it has had its effect.
export const mark = String.raw`
local function readMark()
  local text = redis.call('GET', KEYS[2])
  if not text then return { state = 'none' } end
  local state, token, ends = string.match(text, '^(%a+) (%S+) ?(%d*)$')
  return { state = state, token = token, ends = tonumber(ends) or 0 }
end

local function writeClaim(ends, retentionMs)
  redis.call('SET', KEYS[2], 'claimed ' .. ARGV[3] .. ' ' .. whole(ends), 'PX', retentionMs)
  advance()
end

local function writeDone(retentionMs)
  redis.call('SET', KEYS[2], 'done ' .. ARGV[3], 'PX', retentionMs)
  advance()
end
`
