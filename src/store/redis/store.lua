-- All that schedrs does in Redis: one call is one transaction, for Redis runs nothing else meanwhile.
--
-- KEYS[1] is `schedrs:{NAME}:fleet`; every other key begins as it does.
-- ARGV[1] names the operation, at the end of this file. Times are twenty decimal digits, counted from
-- far enough before the year 1 that none is negative: they are compared as texts, because a number of
-- Lua does not hold all of them. An empty text is "none"; a text that may be empty itself has a "="
-- in front.
local FLEET = KEYS[1]
local P = string.sub(FLEET, 1, -6)
local call = redis.call

local function text(number)
  return string.format('%.0f', number)
end

-- A time of the server's clock in our form: 2^63 plus its microseconds, in two halves that a number
-- holds.
local function stamp(secs, micros)
  local low = 372036854775808 + secs * 1000000 + micros
  local high = 9223 + math.floor(low / 1e15)
  return string.format('%05.0f%015.0f', high, low % 1e15)
end

-- A time, so many seconds from now.
local function clock(ahead)
  local time = call('TIME')
  return stamp(tonumber(time[1]) + (ahead or 0), tonumber(time[2]))
end

-- The microsecond before.
local function before(time)
  local high, low = tonumber(string.sub(time, 1, 5)), tonumber(string.sub(time, 6)) - 1
  if low < 0 then
    high, low = high - 1, low + 1e15
  end
  return string.format('%05.0f%015.0f', high, low)
end

local function changed()
  call('HINCRBY', FLEET, 'changes', 1)
end

-- Records -----------------------------------------------------------------------------------------

-- What this call knows of numbers of runs without looking again.
local known = {}

local function record_of(run)
  local seq = known[run]
  if seq == nil then
    seq = call('HGET', P .. 'run', run)
    known[run] = seq
  end
  return seq
end

-- Who writes: the key of its session, its id, its host, and until when due times may be claimed.
local writer = { key = FLEET, id = '', host = '', until_due = nil }

-- The due times of a job are decided up to this one. Of several schedulers one may write in vain, which
-- decides nothing; whoever takes the job up looks how far its records reach.
local function decided(job, due)
  if writer.id ~= '' then
    return
  end
  local last = call('HGET', P .. 'decided', job)
  if last and last < due then
    call('HSET', P .. 'decided', job, due)
  end
end

-- The last due time of a job that has a record, of those that its trigger has named.
local function furthest(job)
  local all, last = call('HGETALL', P .. 'claim:' .. job), nil
  for place = 2, #all, 2 do
    local row = call('HMGET', P .. 'r:' .. all[place], 'y', 'l', 'd')
    local due = row[2] or row[3]
    if not row[1] and due and (not last or last < due) then
      last = due
    end
  end
  return last
end

-- The same, as it is written down: a job has many records.
local function reach(job)
  local last = call('HGET', P .. 'reach', job)
  if not last then
    last = furthest(job)
    if last then
      call('HSET', P .. 'reach', job, last)
    end
  end
  return last
end

-- The job has a record up to this due time.
local function reaches(job, due)
  local last = reach(job)
  if not last or last < due then
    call('HSET', P .. 'reach', job, due)
  end
end

-- The slot of a record is free.
local function free(seq, job, slot, host)
  local room = P .. 'slot:' .. job
  if slot and slot ~= '' then
    local field = slot .. ':' .. (host or '')
    if call('HGET', room, field) == seq then
      call('HDEL', room, field)
    end
  end
end

-- Records of several due times of a job are found by host and by the last of them.
local function stretch(host, last, due)
  return host .. '\0' .. last .. (due or '')
end

-- A new record of a job, whose due time has none.
local function insert(job, due, host, ...)
  local seq = text(call('INCR', P .. 'seq'))
  local claims = P .. 'claim:' .. job
  call('HSET', claims, due .. host, seq)
  if call('HLEN', claims) == 1 then
    call('SADD', P .. 'jobs', job)
  end
  call('HSET', P .. 'r:' .. seq, 'j', job, 'd', due, ...)
  call('ZADD', P .. 'of:' .. job, seq, seq)
  call('ZADD', P .. 'all', seq, seq)
  return seq
end

-- Takes a record away, with all that hangs on it.
local function remove(seq)
  local record = P .. 'r:' .. seq
  local row = call('HMGET', record, 'j', 'd', 'k', 'r', 'x', 'l')
  local job, due, host, run, slot, last = row[1], row[2], row[3] or '', row[4], row[5], row[6]
  if not job then
    call('ZREM', P .. 'all', seq)
    return
  end
  free(seq, job, slot, host)
  if run and call('HGET', P .. 'run', run) == seq then
    call('HDEL', P .. 'run', run)
    known[run] = nil
  end
  local claims = P .. 'claim:' .. job
  call('HDEL', claims, due .. host)
  if call('EXISTS', claims) == 0 then
    call('SREM', P .. 'jobs', job)
    call('HDEL', P .. 'reach', job)
  end
  call('DEL', record, P .. 'out:' .. seq)
  call('ZREM', P .. 'of:' .. job, seq)
  call('ZREM', P .. 'excluded:' .. job, seq)
  if last and last ~= due then
    call('ZREM', P .. 'range:' .. job, stretch(host, last, due))
  end
  for _, index in ipairs({ 'all', 'open', 'failed' }) do
    call('ZREM', P .. index, seq)
  end
end

-- Which lists a record belongs to by how it went. It may have been over before: lost, as the others
-- thought.
local function went(seq, job, outcome, failed, before)
  local excluded = string.match(outcome, '^skipped,[^,]*,=excluded')
  for list, is in pairs({ failed = failed, ['excluded:' .. job] = excluded }) do
    if is then
      call('ZADD', P .. list, seq, seq)
    elseif before then
      call('ZREM', P .. list, seq)
    end
  end
end

-- A run is over; what else there is to say of it follows.
local function over(seq, outcome, failed, ...)
  local record = P .. 'r:' .. seq
  local row = call('HMGET', record, 'x', 'j', 'k', 'o')
  call('HSET', record, 'o', outcome, ...)
  call('ZREM', P .. 'open', seq)
  went(seq, row[2], outcome, failed, row[4])
  free(seq, row[2], row[1], row[3])
end

-- Takes a run back of which no attempt has begun.
local function withdraw(run)
  local seq = record_of(run)
  if not seq then
    return
  end
  local row = call('HMGET', P .. 'r:' .. seq, 'j', 'd', 'o', 'n', 'y')
  local job, due, outcome, attempts, by = row[1], row[2], row[3], row[4], row[5]
  if outcome or (attempts and attempts ~= '0') then
    return
  end
  remove(seq)
  if not by then
    if call('HGET', P .. 'reach', job) == due then
      call('HDEL', P .. 'reach', job)
    end
    local last = call('HGET', P .. 'decided', job)
    if last and last >= due then
      call('HSET', P .. 'decided', job, before(due))
    end
  end
end

-- The number of a run was given to another, by a scheduler that knew nothing of this store. That run
-- keeps its record and loses its number.
local function disown(run)
  local seq = record_of(run)
  if not seq then
    return
  end
  local record = P .. 'r:' .. seq
  local row = call('HMGET', record, 'o', 'n')
  if not row[1] then
    over(seq, 'lost,,=its number was used again', true)
  end
  for attempt = 1, tonumber(row[2] or '0') do
    call('HDEL', record, '#' .. attempt)
  end
  call('HDEL', record, 'r')
  call('HDEL', P .. 'run', run)
  call('DEL', P .. 'out:' .. seq)
  known[run] = nil
end

-- Facts -------------------------------------------------------------------------------------------

local lost, highest = {}, -1

-- Each takes its arguments and answers how many there were.
local facts = {}

-- began: key, all of it, seen, stopped
function facts.B(key, all, seen, stopped)
  if not call('ZSCORE', P .. 'lives', key) then
    call('ZADD', P .. 'lives', call('INCR', P .. 'life'), key)
    call('HSET', P .. 'life:' .. key, 'all', all, 'seen', seen, 'stopped', stopped)
    call('HSET', writer.key, 'life', key)
  end
  return 4
end

-- stopped: at
function facts.S(at)
  local life = call('HGET', writer.key, 'life')
  if life then
    call('HSET', P .. 'life:' .. life, 'seen', at, 'stopped', at)
  end
  return 1
end

-- job: id, decided, the rest
function facts.J(id, last, rest)
  if call('HGET', P .. 'job', id) ~= rest then
    changed()
    call('HSET', P .. 'job', id, rest)
  end
  call('HSET', P .. 'decided', id, last)
  return 3
end

-- gone: id
function facts.G(id)
  if call('HDEL', P .. 'job', id) == 1 then
    changed()
  end
  call('HDEL', P .. 'decided', id)
  return 1
end

-- all paused: how
function facts.P(pause)
  if (call('HGET', FLEET, 'paused') or '') ~= pause then
    changed()
    call('HSET', FLEET, 'paused', pause)
  end
  return 1
end

-- The record of a due time among these, or of several with these among them. Who has a store for itself
-- decides none twice. Ranges do not overlap, so that the first that ends late enough tells.
local function within(job, due, last, host)
  if writer.id == '' then
    return
  end
  local range = call('ZRANGEBYLEX', P .. 'range:' .. job, '[' .. stretch(host, due),
    '(' .. host .. '\1', 'LIMIT', 0, 1)[1]
  local claims = P .. 'claim:' .. job
  if range and string.sub(range, -20) <= last then
    return call('HGET', claims, string.sub(range, -20) .. host)
  end
  local known = due < last and reach(job)
  if known and known >= due then
    -- Somebody else decides them as well.
    local all = call('HGETALL', claims)
    for place = 1, #all, 2 do
      local at, where, seq = string.sub(all[place], 1, 20), string.sub(all[place], 21), all[place + 1]
      if where == host and at >= due and at <= last
        and call('HEXISTS', P .. 'r:' .. seq, 'y') == 0 then
        return seq
      end
    end
  end
end

-- What keeps a run from its due time and its slot.
local function hindrance(run, job, due, by, host, slot)
  local owner = call('HGET', P .. 'claim:' .. job, due .. host)
    or (by == '' and within(job, due, due, host))
  if owner then
    local row = call('HMGET', P .. 'r:' .. owner, 'r', 's')
    return 'taken', row[2] or '0', row[1] or '0'
  end
  if writer.until_due and due > writer.until_due then
    return 'early', '0', '0'
  end
  if slot ~= '' then
    local busy = call('HGET', P .. 'slot:' .. job, slot .. ':' .. host)
    if busy then
      return 'busy', call('HGET', P .. 'r:' .. busy, 's') or '0', '0'
    end
  end
end

-- admitted: run, job, due, at, by, host, slot
function facts.A(run, job, due, at, by, host, slot)
  local why, session, other = hindrance(run, job, due, by, host, slot)
  if by == '' and (not why or why == 'taken') then
    decided(job, due)
  end
  if why then
    if other ~= run then
      lost[#lost + 1] = { run, why, session, other }
    end
    return 7
  end
  disown(run)
  local fields = { 'a', at, 'r', run }
  local function field(name, value)
    if value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  field('y', by)
  field('k', host)
  field('x', slot)
  field('s', writer.id)
  field('h', writer.host ~= '' and writer.host or host)
  local seq = insert(job, due, host, unpack(fields))
  if by == '' then
    reaches(job, due)
  end
  call('HSET', P .. 'run', run, seq)
  known[run] = seq
  call('ZADD', P .. 'open', seq, seq)
  if slot ~= '' then
    call('HSET', P .. 'slot:' .. job, slot .. ':' .. host, seq)
  end
  -- A number that a scheduler took for want of others (2^62 and above) is nobody's first.
  if tonumber(run) < 4611686018427387904 then
    highest = math.max(highest, tonumber(run))
  end
  return 7
end

-- starting: run, attempt
function facts.T(run, attempt)
  local seq = record_of(run)
  if seq then
    call('HSET', P .. 'r:' .. seq, 'n', attempt, 'p', '', 'b', '')
  end
  return 2
end

-- postponed: run, the attempt before
function facts.Q(run, attempt)
  local seq = record_of(run)
  if seq then
    call('HSET', P .. 'r:' .. seq, 'n', attempt)
  end
  return 2
end

-- started: run, attempt, process, at
function facts.R(run, attempt, process, at)
  local seq = record_of(run)
  if seq then
    call('HSET', P .. 'r:' .. seq, 'n', attempt, 'p', process, 'b', at)
    call('HSETNX', P .. 'r:' .. seq, 'f', at)
  end
  return 4
end

-- an attempt has ended: run, attempt, outcome, at
function facts.F(run, attempt, outcome, at)
  local seq = record_of(run)
  if seq then
    local row = call('HMGET', P .. 'r:' .. seq, 'n', 'p', 'b')
    local process, begun = '', ''
    if row[1] == attempt then
      process, begun = row[2] or '', row[3] or ''
    end
    local all = at .. ';' .. begun .. ';' .. process .. ';' .. outcome
    call('HSET', P .. 'r:' .. seq, '#' .. attempt, all)
  end
  return 4
end

-- ended: run, outcome, failed, duration, attempts, what it has used
function facts.E(run, outcome, failed, duration, attempts, usage)
  local seq = record_of(run)
  if seq then
    over(seq, outcome, failed == '1', 'u', duration, 'n', attempts)
    if usage ~= '' then
      call('HSET', P .. 'r:' .. seq, 'm', usage)
    end
  end
  return 6
end

-- a fate: job, due, last due, count, outcome, failed, at, host
function facts.X(job, due, last, count, outcome, failed, at, host)
  local is_free = call('HEXISTS', P .. 'claim:' .. job, due .. host) == 0
    and not within(job, due, last, host)
  decided(job, last)
  if is_free then
    if due < last then
      call('ZADD', P .. 'range:' .. job, 0, stretch(host, last, due))
    end
    local where = writer.host ~= '' and writer.host or host
    local seq = insert(job, due, host, 'l', last, 'c', count, 'o', outcome, 'a', at, 'k', host,
      'h', where, 's', writer.id)
    reaches(job, last)
    went(seq, job, outcome, failed == '1')
  end
  return 8
end

-- withdrawn: run
function facts.W(run)
  withdraw(run)
  return 1
end

-- output: run, total, tail
function facts.O(run, total, tail)
  local seq = record_of(run)
  if seq then
    call('HSET', P .. 'r:' .. seq, 'w', total)
    if tail ~= '' then
      call('SET', P .. 'out:' .. seq, total .. ';' .. tail)
    end
  end
  return 3
end

-- a change: all of it, the time first
function facts.C(all)
  call('ZADD', P .. 'change', 0, all)
  return 1
end

-- an entry: list, key, value. A list that has none is none.
function facts.N(list, key, value)
  local entries = P .. 'list:' .. list
  if value == '' then
    call('HDEL', entries, key)
  else
    call('HSET', entries, key, string.sub(value, 2))
  end
  if call('EXISTS', entries) == 1 then
    call('SADD', P .. 'lists', list)
  else
    call('SREM', P .. 'lists', list)
  end
  return 3
end

-- Takes all facts from there on.
local function take(place)
  while place <= #ARGV do
    -- No fact has more arguments than that, and those beyond are not looked at.
    local fact = facts[ARGV[place]]
    place = place + 1 + fact(unpack(ARGV, place + 1, math.min(place + 8, #ARGV)))
  end
  if highest >= 0 then
    local next_run = tonumber(call('HGET', FLEET, 'next_run') or '1')
    if highest >= next_run then
      call('HSET', FLEET, 'next_run', text(highest + 1))
    end
  end
end

-- The last moment that a fact tells of is one at which the scheduler was alive.
local function alive_at(at)
  local life = at ~= '' and call('HGET', writer.key, 'life')
  if life then
    call('HSET', P .. 'life:' .. life, 'seen', at)
  end
end

-- Sessions ----------------------------------------------------------------------------------------

-- All that are not gone, and those that are since less than an hour.
local function members()
  local found, hour_ago = {}, clock(-3600)
  for _, id in ipairs(call('SMEMBERS', P .. 'sessions')) do
    local gone = call('HGET', P .. 's:' .. id, 'gone')
    if not gone or gone >= hour_ago then
      found[#found + 1] = { id, call('HGETALL', P .. 's:' .. id) }
    end
  end
  return found
end

-- Which server this is: another one may know less.
local function identity()
  local run = string.match(call('INFO', 'server'), 'run_id:(%x+)') or ''
  local history = string.match(call('INFO', 'replication'), 'master_replid:(%x+)') or ''
  return run .. '/' .. history
end

local function view(id)
  local fleet = call('HMGET', FLEET, 'generation', 'changes', 'recorded')
  local server = identity()
  local me = call('HMGET', P .. 's:' .. id, 'beat', 'gone')
  local standing = not me[1] and 'unknown' or me[2] and 'gone' or 'alive'
  local recorded = fleet[3] or server
  return { clock(), fleet[1] or '0', server, fleet[2] or '0', standing, me[1] or '0', members(), recorded }
end

-- When a host has loaded a file: a restart with the same one is no new load.
local function loaded(id, machine, hash, now)
  local own = call('HMGET', P .. 's:' .. id, 'hash', 'loaded')
  if own[1] == hash and own[2] then
    return own[2]
  end
  local hour_ago, best = clock(-3600), false
  for _, other in ipairs(call('SMEMBERS', P .. 'sessions')) do
    local row = call('HMGET', P .. 's:' .. other, 'machine', 'hash', 'loaded', 'gone')
    local recent = not row[4] or row[4] >= hour_ago
    if other ~= id and recent and row[1] == machine and row[2] == hash and row[3] then
      best = best and best > row[3] and best or row[3]
    end
  end
  return best or now
end

-- Writes a session as `join` does. The fields begin at that argument.
local function put(id, machine, hash, fields)
  local key, now = P .. 's:' .. id, clock()
  local at = loaded(id, machine, hash, now)
  call('HSETNX', key, 'joined', now)
  call('HSETNX', key, 'beat', '1')
  call('HSET', key, 'loaded', at, 'seen', now, unpack(ARGV, fields))
  call('SADD', P .. 'sessions', id)
  changed()
end

-- One more beat of a session that has had so many acknowledged. Else nothing, and why: it is `gone`, or
-- this store has gone `back`, for it has not had so many.
local function beat(id, acked)
  local key = P .. 's:' .. id
  local row = call('HMGET', key, 'beat', 'gone')
  if row[2] then
    return nil, 'gone'
  elseif tonumber(row[1] or '0') < tonumber(acked) then
    return nil, 'back'
  elseif not row[1] then
    return nil, 'gone'
  end
  call('HSET', key, 'seen', clock())
  return text(call('HINCRBY', key, 'beat', 1))
end

-- Operations --------------------------------------------------------------------------------------

local operations = {}

-- Answers the schema, which is set if there is none.
function operations.open(schema)
  call('HSETNX', FLEET, 'schema', schema)
  return call('HGET', FLEET, 'schema')
end

-- last moment, facts
function operations.write(at)
  take(3)
  alive_at(at)
  return lost
end

-- session, how many beats it has had acknowledged, last moment, facts
function operations.commit(id, acked, at)
  local count, why = beat(id, acked)
  if not count then
    return { why }
  end
  local key = P .. 's:' .. id
  writer = { key = key, id = id, host = call('HGET', key, 'host') or '', until_due = clock(2) }
  take(5)
  alive_at(at)
  return { count, clock(), call('HGET', FLEET, 'changes') or '0', lost }
end

-- id, machine, hash, jobs, how many beats it has had acknowledged, fields
function operations.join(id, machine, hash, jobs, acked)
  if call('EXISTS', P .. 's:' .. id) == 0 or beat(id, acked) then
    put(id, machine, hash, 7)
  end
  call('HSETNX', P .. 'files', hash, jobs)
  -- Whoever is first says which server the fleet has begun with.
  call('HSETNX', FLEET, 'recorded', identity())
  return view(id)
end

-- id, machine, hash, how many beats it has had acknowledged, fields
function operations.beat(id, machine, hash, acked)
  if beat(id, acked) then
    local at = loaded(id, machine, hash, clock())
    call('HSET', P .. 's:' .. id, 'loaded', at, unpack(ARGV, 6))
  end
  return view(id)
end

function operations.members()
  return members()
end

-- by, whom, beat
function operations.reap(by, whom, seen)
  local key = P .. 's:' .. whom
  local row = call('HMGET', key, 'beat', 'gone')
  if row[1] ~= seen or row[2] then
    return 0
  end
  call('HSET', key, 'gone', clock(), 'gone_by', by)
  changed()
  return 1
end

-- id, how many beats it has had acknowledged, then runs, each with the session that has had it: answers
-- those that are this session's now
function operations.adopt(id, acked)
  local count, why = beat(id, acked)
  if not count then
    return { why }
  end
  local host, mine = call('HGET', P .. 's:' .. id, 'host') or '', {}
  for place = 4, #ARGV, 2 do
    local run, of = ARGV[place], ARGV[place + 1]
    local seq = record_of(run)
    local record = seq and P .. 'r:' .. seq
    local row = seq and call('HMGET', record, 's', 'o')
    local was_lost = seq and row[2] and string.sub(row[2], 1, 5) == 'lost,'
    if seq and row[1] == of and (not row[2] or was_lost) then
      if was_lost then
        -- It may have its slot no longer.
        call('HDEL', record, 'o', 'u', 'x')
        call('ZREM', P .. 'failed', seq)
        call('ZADD', P .. 'open', seq, seq)
      end
      call('HSET', record, 's', id, 'h', host)
      mine[#mine + 1] = run
    elseif seq and row[1] == id and not row[2] then
      mine[#mine + 1] = run
    end
  end
  return { count, mine }
end

-- id, whether it has ended
function operations.leave(id, ended)
  local key = P .. 's:' .. id
  if call('EXISTS', key) == 1 then
    call('HSET', key, 'leaving', '1')
    if ended == '1' and not call('HGET', key, 'gone') then
      call('HSET', key, 'gone', clock(), 'gone_by', id)
    end
    changed()
  end
  return 0
end

-- Jobs, and the runs of those that are wanted. Others may have decided more than is written of a job.
local function jobs_and_runs(ids, wanted, are_others)
  local jobs, open = {}, {}
  for _, id in ipairs(ids) do
    local rest = call('HGET', P .. 'job', id)
    if rest then
      local last, records = call('HGET', P .. 'decided', id) or '', are_others and reach(id) or ''
      jobs[#jobs + 1] = { id, last < records and records or last, rest }
    end
  end
  for _, seq in ipairs(call('ZRANGE', P .. 'open', 0, -1)) do
    local record = P .. 'r:' .. seq
    if not wanted or wanted[call('HGET', record, 'j')] then
      open[#open + 1] = { seq, call('HGETALL', record) }
    end
  end
  return { call('HGET', FLEET, 'paused') or '', jobs, open }
end

-- All that there is of one scheduler
function operations.restore()
  return jobs_and_runs(call('HKEYS', P .. 'job'))
end

-- The jobs; of all if there are none
function operations.take_up()
  if #ARGV == 1 then
    return jobs_and_runs(call('HKEYS', P .. 'job'), nil, true)
  end
  local ids, wanted = {}, {}
  for place = 2, #ARGV do
    wanted[ARGV[place]] = true
    ids[place - 1] = ARGV[place]
  end
  return jobs_and_runs(ids, wanted, true)
end

-- What there is beside the jobs when a scheduler begins.
function operations.begin()
  local last = call('ZREVRANGE', P .. 'lives', 0, 0)[1]
  local life = last and call('HGETALL', P .. 'life:' .. last) or {}
  return { call('HGET', FLEET, 'next_run') or '1', life }
end

-- how many
function operations.numbers(count)
  local first = tonumber(call('HGET', FLEET, 'next_run') or '1')
  call('HSET', FLEET, 'next_run', text(first + tonumber(count)))
  return text(first)
end

-- id, to, from, all of it
function operations.ask(id, to, from, all)
  local key = P .. 'ask:' .. id
  if call('HSETNX', key, 'all', all) == 1 then
    call('HSET', key, 'to', to, 'from', from)
    call('ZADD', P .. 'asks', call('INCR', P .. 'asked'), id)
    changed()
  end
  return 0
end

-- session
function operations.asks(session)
  local found = {}
  for _, id in ipairs(call('ZRANGE', P .. 'asks', 0, -1)) do
    local row = call('HMGET', P .. 'ask:' .. id, 'to', 'from', 'all', 'answer')
    if row[3] and (row[4] and row[2] or not row[4] and row[1]) == session then
      found[#found + 1] = { id, row[1], row[2], row[3], row[4] or '' }
    end
  end
  return found
end

-- id, the answer
function operations.answer(id, answer)
  local key = P .. 'ask:' .. id
  if call('EXISTS', key) == 1 and call('HSETNX', key, 'answer', answer) == 1 then
    changed()
  end
  return 0
end

-- id, machine, hash, seen, the next, fields
function operations.generation(id, machine, hash, seen, following)
  if (call('HGET', FLEET, 'generation') or '0') == seen then
    call('HSET', FLEET, 'generation', following, 'recorded', identity())
    changed()
  end
  if call('EXISTS', P .. 's:' .. id) == 0 then
    put(id, machine, hash, 7)
  end
  return view(id)
end

-- id, fields
function operations.put_back(id)
  if call('EXISTS', P .. 's:' .. id) == 0 then
    call('HSET', P .. 's:' .. id, unpack(ARGV, 3))
    call('SADD', P .. 'sessions', id)
    changed()
  end
  return 0
end

-- The word of a record's outcome; nothing: it is not over.
local function word_of(seq)
  local outcome = call('HGET', P .. 'r:' .. seq, 'o')
  return outcome and string.match(outcome, '^[^,]*')
end

-- Due times with these outcomes did not come to run.
local not_run = { skipped = true, missed = true, coalesced = true }

-- Of each of these jobs the last run that has ended and the last that succeeded; and how many due times
-- had which outcome since the former.
function operations.latest()
  local runs, since = {}, {}
  for place = 2, #ARGV do
    local job, from, counts, word = ARGV[place], 0, {}, nil
    local has_run = false
    repeat
      local seq = call('ZREVRANGE', P .. 'of:' .. job, from, from)[1]
      from = from + 1
      word = seq and word_of(seq)
      if word and not_run[word] then
        if not has_run then
          counts[word] = (counts[word] or 0) + tonumber(call('HGET', P .. 'r:' .. seq, 'c') or 1)
        end
      elseif word and (word == 'succeeded' or not has_run) then
        has_run = true
        runs[#runs + 1] = { seq, call('HGETALL', P .. 'r:' .. seq) }
      end
    until not seq or word == 'succeeded'
    for outcome, count in pairs(counts) do
      since[#since + 1] = { job, outcome, text(count) }
    end
  end
  return { runs, since }
end

-- Forgetting --------------------------------------------------------------------------------------

-- Whether it is the last record of a job that is there, its last run that has ended or the last that
-- succeeded.
local function is_last(job, seq)
  if call('HEXISTS', P .. 'job', job) == 0 then
    return false
  end
  local own = word_of(seq)
  local any, run, success = true, not not_run[own], own == 'succeeded'
  for _, later in ipairs(call('ZRANGEBYSCORE', P .. 'of:' .. job, '(' .. seq, '+inf')) do
    local word = word_of(later)
    any = any and not word
    run = run and not (word and not not_run[word])
    success = success and word ~= 'succeeded'
    if not (any or run or success) then
      return false
    end
  end
  return true
end

-- Takes a record away if it is over and not the last. Answers whether it did.
local function forget(job, seq)
  if call('HEXISTS', P .. 'r:' .. seq, 'o') == 0 or is_last(job, seq) then
    return false
  end
  remove(seq)
  return true
end

-- The oldest records of a job that are not of excluded due times: so many.
local function oldest_others(job, wanted)
  local rows, from = {}, 0
  repeat
    local some = call('ZRANGE', P .. 'of:' .. job, from, from + 199)
    from = from + #some
    for _, seq in ipairs(some) do
      if #rows < wanted and not call('ZSCORE', P .. 'excluded:' .. job, seq) then
        rows[#rows + 1] = seq
      end
    end
  until #rows >= wanted or #some < 200
  return rows
end

-- keep so many, the oldest moment, now, so many at a time, what is younger than this, jobs: answers those that may have more.
-- Excluded due times are counted by themselves.
function operations.beyond(keep, oldest, now, slice, young)
  local more, left = {}, tonumber(slice)
  local function of_kind(job, count, oldest_of)
    local gone = 0
    local beyond = count - tonumber(keep)
    local wanted = math.min(left, math.max(beyond, 0) + 8)
    local rows = wanted > 0 and oldest_of(wanted) or {}
    local all = #rows < wanted
    for _, seq in ipairs(rows) do
      left = left - 1
      local at = call('HGET', P .. 'r:' .. seq, 'a') or ''
      -- The claims of the last minutes stay, and what follows is younger.
      if at > young then
        all = true
        break
      end
      if beyond > 0 or at <= now then
        if beyond <= 0 and at >= oldest then
          all = true
          break
        end
        -- What is open counts, but stays: it is the oldest of all only while it runs.
        beyond = beyond - 1
        if forget(job, seq) then
          gone = gone + 1
        end
      end
    end
    -- Those that stay are met again each time: without headway there is no more to do.
    return wanted == 0 or (not all and gone > 0)
  end
  for place = 7, #ARGV do
    local job = ARGV[place]
    local of, excluded = P .. 'of:' .. job, P .. 'excluded:' .. job
    local function oldest_in(key)
      return function(wanted)
        return call('ZRANGE', key, 0, wanted - 1)
      end
    end
    local count, apart = call('ZCARD', of), call('ZCARD', excluded)
    local has_more
    if apart == 0 or count <= tonumber(keep) then
      has_more = of_kind(job, count, oldest_in(of))
    else
      has_more = of_kind(job, count - apart, function(wanted)
        return oldest_others(job, wanted)
      end)
      has_more = of_kind(job, apart, oldest_in(excluded)) or has_more
    end
    if has_more then
      more[#more + 1] = job
    end
  end
  return more
end

-- after this record, the oldest moment, now, so many: answers up to where, and whether there is more.
function operations.old(after, oldest, now, slice)
  local rows = call('ZRANGEBYSCORE', P .. 'all', '(' .. after, '+inf', 'LIMIT', 0, slice)
  local ahead, full = false, #rows == tonumber(slice)
  local gone = 0
  for _, seq in ipairs(rows) do
    local row = call('HMGET', P .. 'r:' .. seq, 'a', 'j')
    local at, job = row[1] or '', row[2] or ''
    if at > now then
      -- A clock was ahead when it was written. It stays until its time, and what follows it does not.
      ahead = true
    elseif at >= oldest then
      full = false
      break
    else
      if forget(job, seq) then
        gone = gone + 1
      end
      if not ahead then
        after = seq
      end
    end
  end
  return { after, (full and (gone > 0 or not ahead)) and 1 or 0 }
end

-- the oldest moment, sessions gone before that, so many changes, so many lives, the oldest request, now
function operations.aside(oldest, sessions, changes, lives, asks, now)
  call('ZREMRANGEBYLEX', P .. 'change', '-', '(' .. oldest)
  call('ZREMRANGEBYRANK', P .. 'change', 0, -1 - tonumber(changes))
  local keys = call('ZRANGE', P .. 'lives', 0, -2)
  for place, key in ipairs(keys) do
    local row = call('HMGET', P .. 'life:' .. key, 'seen', 'stopped')
    local last = row[2] and row[2] ~= '' and row[2] or row[1]
    if not last or last < oldest or place <= #keys - tonumber(lives) then
      call('DEL', P .. 'life:' .. key)
      call('ZREM', P .. 'lives', key)
    end
  end
  local hashes = {}
  for _, id in ipairs(call('SMEMBERS', P .. 'sessions')) do
    local row = call('HMGET', P .. 's:' .. id, 'gone', 'hash')
    if row[1] and row[1] < sessions then
      call('DEL', P .. 's:' .. id)
      call('SREM', P .. 'sessions', id)
    elseif row[2] then
      hashes[row[2]] = true
    end
  end
  for _, hash in ipairs(call('HKEYS', P .. 'files')) do
    if not hashes[hash] then
      call('HDEL', P .. 'files', hash)
    end
  end
  -- In the order in which they came. One from ahead keeps none behind it.
  for _, id in ipairs(call('ZRANGE', P .. 'asks', 0, 999)) do
    local all = call('HGET', P .. 'ask:' .. id, 'all')
    local at = all and cjson.decode(all)[2]
    if not at or at < tonumber(asks) then
      call('DEL', P .. 'ask:' .. id)
      call('ZREM', P .. 'asks', id)
    elseif at <= tonumber(now) then
      break
    end
  end
  return 0
end

-- Lua holds some thousands of arguments of a call at most, so that lists are read from ARGV.
return operations[ARGV[1]](
  ARGV[2] or '', ARGV[3] or '', ARGV[4] or '', ARGV[5] or '', ARGV[6] or '', ARGV[7] or ''
)
