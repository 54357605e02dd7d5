-- SPDX-License-Identifier: LGPL-2.1-or-later
-- wrk's figures as one line of JSON; requests stay wrk's own.
function done(summary, latency, requests)
	local e = summary.errors

	io.write(string.format(
		'{"n":%d,"secs":%.6f,"bytes":%.0f,"p50":%.0f,"p99":%.0f,' ..
		'"errors":%d,"status":%d}\n',
		summary.requests, summary.duration / 1e6, summary.bytes,
		latency:percentile(50) * 1e3, latency:percentile(99) * 1e3,
		e.connect + e.read + e.write + e.timeout, e.status))
end
