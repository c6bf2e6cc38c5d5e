-- wrk: POST the body in $BODY, wait $PAUSE milliseconds after each answer if that is set, and print one line of JSON with
-- the figures, times in milliseconds.
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"

local pause = tonumber(os.getenv("PAUSE") or "")
if pause then
  delay = function() return pause end
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'JSON {"rate":%.1f,"p50":%.4f,"p99":%.4f,"requests":%d,"errors":%d}\n',
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.requests, errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
