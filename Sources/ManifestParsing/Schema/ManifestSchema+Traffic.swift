import DeploymentCore

extension ManifestSchema {
    static let healthKeys: [Key] = {
        let defaults = Manifest.Health()
        return [
            Key(
                "path", .text(.urlPathOrNone), default: defaults.path.map(JSONValue.string),
                "The path asked; none for an app without one, which is then judged by its process, port and smoke tests"
            ),
            Key(
                "interval", .duration(.milliseconds(10)...Manifest.Health.maximumInterval),
                default: duration(defaults.interval),
                "The shortest interval between probes; it grows to a twentieth of the time spent, 1s at most"),
            Key(
                "timeout", .duration(.milliseconds(10) ... .seconds(60)), default: duration(defaults.timeout),
                "The budget of one probe"),
            Key(
                "startup_timeout", .duration(.seconds(1) ... .seconds(3600)),
                default: duration(defaults.startupTimeout),
                "The budget from the start of the process to the first healthy answer"),
            Key(
                "success_threshold", .integer(1...100), default: .integer(Int64(defaults.successThreshold)),
                "Healthy answers in a row that make a replica ready"),
            Key(
                "failure_threshold", .integer(1...100), default: .integer(Int64(defaults.failureThreshold)),
                "Failures in a row that restart a replica once it serves"),
            Key(
                "expect", .oneOf([.choice(["none"]), .jsonObject]),
                "What the JSON answer must contain; {status: healthy, model_loaded: true} for templates, for own apps none"
            ),
            Key("headers", headers, default: [:], "Headers sent with each probe"),
        ]
    }()

    static let predictKeys: [Key] = {
        let defaults = Manifest.Predict()
        return [
            Key(
                "path", .text(.urlPath), default: .string(defaults.path),
                "The app's own path behind /<name>/predict"),
            Key(
                "info_path", .text(.urlPathOrNone), default: defaults.infoPath.map(JSONValue.string),
                "The app's own path behind /<name>/info; none when it has none"),
            Key(
                "timeout", .duration(.milliseconds(10) ... .seconds(3600)), default: duration(defaults.timeout),
                "The budget of one prediction"),
        ]
    }()

    static let smokeKeys: [Key] = [
        Key("name", .text(.line), "What reports call the test; test-1, test-2, … when left out"),
        Key("request", .json, "The JSON body"),
        Key(
            "form", .dictionary(.scalar(.fieldValue), keys: .fieldName, limit: maximumFields),
            "A multipart form instead of a JSON body; a value @path is a file, @@text the text @text"),
        Key(
            "method", .choice(["GET", "POST", "PUT", "PATCH", "DELETE"]),
            "The HTTP method; POST with a body, GET without when left out"),
        Key("path", .text(.urlPath), "The app's own path; predict.path when left out"),
        Key("headers", headers, default: [:], "Headers beyond the content type"),
        Key(
            "expect",
            .dictionary(.matcher(matcherKeys), keys: .answerPath, limit: maximumFields),
            "What the JSON answer must contain: a key, or a path such as $.items[0].label, and a value or a matcher"),
        Key("status", .integer(200...599), default: 200, "The HTTP status that must come back"),
        Key(
            "within", .duration(.milliseconds(1) ... .seconds(3600)),
            "The latency budget; only predict.timeout when left out"),
    ]

    static let matcherKeys: [Key] = [
        Key("approx", .json, "A number, or nested lists of numbers, each within the tolerance"),
        Key(
            "tolerance", .number(0 ... .greatestFiniteMagnitude), default: .double(defaultTolerance),
            "How far a number may be from 'approx'"),
        Key("at_least", .number(anyNumber), "The smallest number that passes"),
        Key("at_most", .number(anyNumber), "The largest number that passes"),
        Key("one_of", .list(.json, limit: maximumFields), "The values that pass"),
        Key("exists", .choice(["true"]), "true: any value passes, as long as there is one"),
        Key("length", .integer(0...1_000_000_000), "The number of elements, members or characters"),
    ]

    /// How far a number may be from `approx` when the manifest does not say.
    static let defaultTolerance = 1e-6

    static let headers = Shape.dictionary(.scalar(.headerValue), keys: .headerName, limit: maximumFields)

    private static let anyNumber = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
}
