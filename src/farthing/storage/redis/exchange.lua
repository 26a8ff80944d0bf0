-- An exchange of window asks, all at once; see WindowStore in storage/limit_protocols.py.
--
-- Of each window there is a hash (KEYS[2..]): "u<sub-window> <holder>" -> "<amount> <leaves us>", what was used;
-- "l<holder>" -> "<amount> <until us>", what is leased; "w" -> "<us> <holder>", who was refused last. KEYS[1] is a sorted
-- set of windows by when somebody was refused. Numbers are doubles here, exact up to 2^53: a time in microseconds has 51
-- bits. Written as text they must not lose any, so `%.0f`.

local at = 0
local function next_text()
    at = at + 1
    return ARGV[at]
end
local function next_number()
    return tonumber(next_text())
end
local function text(number)
    return string.format('%.0f', number)
end

local holder, now = next_text(), next_number()
local lease_us, parts, wanted_us = next_number(), next_number(), next_number()
if now < 0 then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local until_us = now + lease_us

local function exchanged(key)
    local window, window_us, limit = next_text(), next_number(), next_number()
    local keep, need, want = next_number(), next_number(), next_number()
    local spare, share, told = next_number(), next_number(), next_number()
    local slides = window_us > 0
    local part = slides and math.ceil(window_us / parts) or 1
    local function leaves(sub)
        return slides and (sub + 1) * part + window_us or until_us
    end
    local latest = leaves(math.floor(now / part))

    local used, leases, wanted_at, wanted_by = {}, {}, -1, ''
    local flat = redis.call('HGETALL', key)
    for i = 1, #flat, 2 do
        local field, value = flat[i], flat[i + 1]
        local first, second = string.match(value, '^(%S+) (.*)$')
        local kind = string.sub(field, 1, 1)
        if kind == 'u' then
            used[field] = { tonumber(first), tonumber(second) }
        elseif kind == 'l' then
            leases[string.sub(field, 2)] = { tonumber(first), tonumber(second) }
        else
            wanted_at, wanted_by = tonumber(first), second
        end
    end

    local changed, gone = {}, {}
    local function put(field, amount, leaves_us)
        used[field] = { amount, leaves_us }
        changed[field] = true
    end
    for name, lease in pairs(leases) do
        if lease[2] <= now and name ~= holder then
            leases[name] = nil
            gone[#gone + 1] = 'l' .. name
            if slides and lease[1] > 0 then
                local sub = math.floor(lease[2] / part)
                local field = 'u' .. text(sub) .. ' ' .. name .. ' (gone)'
                put(field, lease[1] + (used[field] and used[field][1] or 0), leaves(sub))
            end
        end
    end
    for _ = 1, told do
        local sub, amount = next_number(), next_number()
        put('u' .. text(sub) .. ' ' .. holder, amount, leaves(sub))
    end

    local sum, by_end, ends = 0, {}, {}
    for field, one in pairs(used) do
        if one[2] <= now then
            used[field] = nil
            changed[field] = nil
            gone[#gone + 1] = field
        else
            if slides and one[2] > latest then -- dated by a clock that was set back since
                one[2] = latest
                changed[field] = true
            end
            sum = sum + one[1]
            if not by_end[one[2]] then
                by_end[one[2]] = 0
                ends[#ends + 1] = one[2]
            end
            by_end[one[2]] = by_end[one[2]] + one[1]
        end
    end
    local others, holders = 0, 1
    for name, lease in pairs(leases) do
        if name ~= holder then
            others = others + lease[1]
            holders = holders + 1
        end
    end

    local left, granted = limit - sum - others - keep, 0
    if left > 0 and need <= left then
        granted = math.min(math.max(want, need), left)
        granted = granted + math.min(spare, math.floor((left - granted) / share))
    end
    local held = keep + granted
    local wanted = wanted_at > now - wanted_us and wanted_by ~= holder
    local short = granted < math.max(need, want)

    local set = { 'l' .. holder, text(held) .. ' ' .. text(until_us) }
    if short then
        set[#set + 1] = 'w'
        set[#set + 1] = text(now) .. ' ' .. holder
        redis.call('ZADD', KEYS[1], text(now), window)
    end
    for field in pairs(changed) do
        set[#set + 1] = field
        set[#set + 1] = text(used[field][1]) .. ' ' .. text(used[field][2])
    end
    for i = 1, #gone, 1000 do
        redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone)))
    end
    for i = 1, #set, 1000 do
        redis.call('HSET', key, unpack(set, i, math.min(i + 999, #set)))
    end
    redis.call('PEXPIRE', key, text(math.ceil((window_us + part + lease_us) / 1000) + 60000))

    local frees = {}
    if short and slides then
        table.sort(ends)
        for _, one in ipairs(ends) do
            if by_end[one] ~= 0 then
                frees[#frees + 1] = one
                frees[#frees + 1] = by_end[one]
            end
        end
    end
    return { held, sum, others, wanted and 1 or 0, holders, frees }
end

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - wanted_us))
local answers = { now }
for i = 2, #KEYS do
    answers[i] = exchanged(KEYS[i])
end
return answers
