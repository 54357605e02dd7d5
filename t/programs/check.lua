-- For wrk: compare the body of each answer with the file that DOC names, and
-- print one line, "checked REQUESTS BYTES WRONG".
local want
local threads = {}

function setup(thread)
	table.insert(threads, thread)
end

function init(args)
	local f = assert(io.open(os.getenv("DOC"), "rb"))
	want = f:read("*a")
	f:close()
	wrong = 0
end

function response(status, headers, body)
	if status ~= 200 or body ~= want then
		wrong = wrong + 1
	end
end

function done(summary, latency, requests)
	local e = summary.errors
	local bad = e.connect + e.read + e.write + e.status + e.timeout
	for _, thread in ipairs(threads) do
		bad = bad + thread:get("wrong")
	end
	io.write(string.format("checked %d %d %d\n", summary.requests,
		summary.bytes, bad))
end
