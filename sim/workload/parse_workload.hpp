// A scenario's `workload` object, JSON to WorkloadConfig:
//
//   "arrivals": { "process": "poisson", "rate": "8 /s" [, "diurnal": [24 factors on the rate, by hour]] }
//               { "process": "gamma", "rate": "8 /s", "cv": 2 [, "diurnal": [...]] }
//               { "process": "markov_modulated", "states": [{ "rate": "2 /s", "duration": "10 min" }, ...] [, "diurnal": [...]] }
//               { "process": "closed", "concurrency": 64 [, "turnaround": "1 ms"] }
//               { "process": "batch" }
//               { "process": "trace", "file": "traces/x.csv" [, "speedup": 1] [, "repeat": false] [, "copies": 1] [, "diurnal": [...]] }
//   "prompt_tokens", "output_tokens": { "distribution": "fixed", "value": 256 }
//               { "distribution": "uniform", "low": 819, "high": 1024 }
//               { "distribution": "lognormal", "median" or "mean": 900, "sigma": 0.8 [, "low": 1] [, "high": 8192] }
//               { "distribution": "empirical", "file": "lengths.csv" }  (tokens[,weight])  or  "histogram": [[tokens, weight], ...]
//               { "distribution": "trace" [, "file": "traces/x.csv"] }  (rows of the whole file in a random order; of the arrivals' trace in its own)
//   "prefix": { "tokens": 1200 [, "count": 50] [, "zipf": 1.0] }
//   "sessions": { "turns": LENGTHS [, "think_time": "30 s"] [, "max_context": 32768] }
//   "classes": [ { "name": "chat", "weight": 3, "priority": 1, "prompt_tokens": ..., "output_tokens": ..., "prefix": ..., "sessions": ...,
//                  "arrivals": ... }, ... ]   (and "routing", "objectives", which are read by who knows these)
//   "requests": 2000, "warmup_requests": 100
#pragma once

#include "input/file_folders.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

class JsonReader;

/// Parses and resolves. Lengths may be left out where a trace gives them, or in a class where the workload gives them. `requests` left out:
/// a trace's rows, ten times the concurrency of a closed loop, else 1000. Files are looked for in `folders`.
/// Throws InputError with file and pointer (or the trace's file and line).
WorkloadConfig parse_workload(const JsonReader& reader, const FileFolders& folders);

}  // namespace moeplan
