-- May these deliveries leave now? Counts each with its yes; one call for a whole batch.
--
-- Each counter is a sorted set: the id of a delivery, by when it was counted, in
-- microseconds by this server's clock. A limit of N asks one entry alone: the one N
-- places from the end.
--
-- KEYS  1      since when this server remembers everything
--       2...   the counters
-- ARGV  1      JSON: {missed, keep, {delivery, counter, number, window, counter, ...}, ...}
--              missed: 1 if something was counted elsewhere, so that it remembers from now on
--              keep, window: in microseconds; counter: its index in KEYS
-- Returns      for how long it remembers, in microseconds; then of each delivery that may not
--              leave three numbers: which it is, which of its limits frees last, in how many
--              microseconds

local TRIMMED_AT_ONCE = 100  -- so that no call is long, however much has expired
local TRIMMED_EVERY = 8      -- microseconds, of which one is as likely as the other
local YEAR = 400 * 86400000  -- milliseconds; longer than any window

local call = redis.call
local asked = cjson.decode(ARGV[1])
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local keep = asked[2]

local since = asked[1] == 0 and tonumber(call('GET', KEYS[1]) or nil)
if not since or since > now then
  since = now
  call('SET', KEYS[1], string.format('%.0f', now), 'PX', YEAR)
end

local reply = {now - since}
local sizes = {}    -- by key: how many entries it had when this call began
local used = {}     -- by key and window: how many of these count
local added = {}    -- by key: what this call counts, as ZADD takes it
local refused = {}  -- by key: how many wait for room
local latest = {}   -- by key: the last delivery that it was written down for

local function is_full(key, number, window)
  local new = added[key] and #added[key] / 2 or 0
  local size = sizes[key]
  if not size then
    size = call('ZCARD', key)
    sizes[key], used[key] = size, {}
  end
  -- Nearly always there are too few entries for it to matter how old they are.
  if size + new < number then return false end
  local known = used[key]
  if not known[window] then
    known[window] = call('ZCOUNT', key, now - window, '+inf')
  end
  return known[window] + new >= number
end

-- In how many microseconds a full one has room, behind those who wait.
local function frees(key, number, window)
  local new = added[key] and #added[key] / 2 or 0
  local at, rank = now, new + (refused[key] or 0) - number
  if rank < 0 then
    at = tonumber(call('ZRANGE', key, rank, rank, 'WITHSCORES')[2])
  end
  return at + window - now + 1
end

for index = 3, #asked do
  local one = asked[index]
  local which, wait = 0, 0
  for place = 2, #one, 3 do
    local key, number, window = KEYS[one[place]], one[place + 1], one[place + 2]
    if is_full(key, number, window) then
      local frees_in = frees(key, number, window)
      if frees_in > wait then which, wait = (place + 1) / 3, frees_in end
    end
  end
  for place = 2, #one, 3 do
    local key = KEYS[one[place]]
    if latest[key] == index then
      -- two limits of one counter, which counts once
    elseif which > 0 then
      refused[key] = (refused[key] or 0) + 1
    else
      local new = added[key] or {}
      added[key] = new
      new[#new + 1] = now
      new[#new + 1] = one[1]
    end
    latest[key] = index
  end
  if which > 0 then
    reply[#reply + 1] = index - 3
    reply[#reply + 1] = which - 1
    reply[#reply + 1] = wait
  end
end

local expiry = math.ceil(keep / 1000) + 1000
for key, new in pairs(added) do
  call('ZADD', key, unpack(new))
  call('PEXPIRE', key, expiry)
  if now % TRIMMED_EVERY == 0 then
    local expired = call('ZCOUNT', key, '-inf', now - keep - 1)
    if expired > 0 then
      call('ZREMRANGEBYRANK', key, 0, math.min(expired, TRIMMED_AT_ONCE) - 1)
    end
  end
end
return reply
