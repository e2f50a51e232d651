/**
 * What Redis does at one go. Each script touches one key, so that all of it works on a Redis Cluster as well. Presence is a
 * hash of id → "until instance json", because the time that counts is Redis's own.
 */
const now = `local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000)`;

export const redisScripts = {
  /** id, instance, JSON, ttl. Entries that have been over for long are taken out on the way. */
  announce: `${now}
    redis.call('HSET', KEYS[1], ARGV[1], (now + ARGV[4]) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
    local all = redis.call('HGETALL', KEYS[1])
    for i = 1, #all, 2 do
      if tonumber(string.match(all[i + 1], '^%d+')) < now - 60000 then redis.call('HDEL', KEYS[1], all[i]) end
    end
    return 1`,
  /** id, instance */
  withdraw: `local entry = redis.call('HGET', KEYS[1], ARGV[1])
    if entry and string.match(entry, '^%d+ (%S+)') == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
    return 1`,
  present: `${now}
    local living = {}
    for _, entry in ipairs(redis.call('HVALS', KEYS[1])) do
      if tonumber(string.match(entry, '^%d+')) > now then living[#living + 1] = string.match(entry, '^%d+ %S+ (.*)$') end
    end
    return living`,
  /** mine, dead or nothing, ttl */
  claimRoom: `local held = redis.call('GET', KEYS[1])
    if held and held ~= ARGV[2] then return held end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
    return ARGV[1]`,
  /** mine, epoch of mine, ttl */
  renewRoom: `local held = redis.call('GET', KEYS[1])
    if held and held ~= ARGV[1] and tonumber(string.match(held, '^%d+')) <= tonumber(ARGV[2]) then return held end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
    return ARGV[1]`,
  releaseRoom: `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
    return 1`,
  /** take, record, ttl */
  putSession: `local held = redis.call('GET', KEYS[1])
    if held and tonumber(string.match(held, '^%d+')) > tonumber(ARGV[1]) then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1`,
  /** take */
  removeSession: `local held = redis.call('GET', KEYS[1])
    if held and tonumber(string.match(held, '^%d+')) <= tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) end
    return 1`,
  /** edge, ttl */
  claimConnection: `local held = redis.call('GET', KEYS[1]) or ARGV[1]
    redis.call('SET', KEYS[1], held, 'PX', ARGV[2])
    return held`,
} as const;
export type RedisScript = keyof typeof redisScripts;
