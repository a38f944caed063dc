-- What wrk asks and how it answers, for src/wrk.ts. It is in the environment: an API key on a command line is for everybody to read.
local method, path, body = os.getenv('BENCH_METHOD'), os.getenv('BENCH_PATH'), os.getenv('BENCH_BODY')
local random, first, count = os.getenv('BENCH_RANDOM'), tonumber(os.getenv('BENCH_FIRST')), tonumber(os.getenv('BENCH_COUNT'))

wrk.method = method
wrk.headers['Authorization'] = os.getenv('BENCH_AUTHORIZATION')
if body ~= nil then
  wrk.body = body
  wrk.headers['Content-Type'] = 'application/json'
end

-- Each thread has a gateway of its own.
local next_thread, addresses = 1, {}
for host, port in string.gmatch(os.getenv('BENCH_ADDRESSES'), '([^:,]+):([0-9]+)') do
  addresses[#addresses + 1] = { host, port }
end

function setup(thread)
  local host, port = unpack(addresses[(next_thread - 1) % #addresses + 1])
  thread.addr = wrk.lookup(host, port)[1]
  thread:set('number', next_thread)
  next_thread = next_thread + 1
end

-- Without numbers every request is the same one, which wrk makes once.
if count ~= nil then
  local turn = 0
  function init()
    math.randomseed(number)
    turn = first + number - 1
  end
  function request()
    local n
    if random ~= nil then
      n = first + math.random(0, count - 1)
    else
      n = turn
      turn = turn + #addresses
    end
    return wrk.format(nil, (string.gsub(path, '{n}', n)), nil, body and (string.gsub(body, '{n}', n)))
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers":%d,"durationUs":%d,"p50Us":%d,"p99Us":%d,"maxUs":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
