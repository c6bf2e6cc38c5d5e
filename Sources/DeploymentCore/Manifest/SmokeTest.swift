/// One prediction with a known answer, run through the gateway's path before traffic moves.
public struct SmokeTest: Sendable, Equatable, Codable {
    /// What the report calls it.
    public var name: String
    /// What is sent.
    public var request: Request
    /// What must come back.
    public var expect: [Expectation]
    /// The HTTP status that must come back.
    public var status: Int
    /// The latency budget of the whole answer; nil takes only the prediction timeout.
    public var within: Duration?

    /// Creates a smoke test.
    public init(
        name: String, request: Request, expect: [Expectation] = [], status: Int = 200, within: Duration? = nil
    ) {
        self.name = name
        self.request = request
        self.expect = expect
        self.status = status
        self.within = within
    }

    /// One request to the app.
    public struct Request: Sendable, Equatable, Codable {
        /// The HTTP method.
        public var method: String
        /// The app's own path; nil is the manifest's prediction path.
        public var path: String?
        /// Headers beyond the content type.
        public var headers: [String: String]
        /// The body.
        public var body: Body

        /// Creates a request.
        public init(
            method: String = "POST", path: String? = nil, headers: [String: String] = [:], body: Body = .none
        ) {
            self.method = method
            self.path = path
            self.headers = headers
            self.body = body
        }
    }

    /// The body of a request.
    public enum Body: Sendable, Equatable, Codable {
        case none
        /// Sent as `application/json`.
        case json(JSONValue)
        /// Sent as `multipart/form-data`; the fields in the manifest's order.
        case form([FormField])
    }

    /// One part of a multipart form.
    public struct FormField: Sendable, Equatable, Codable {
        /// The part's name.
        public var name: String
        /// A text, or a file beside the manifest.
        public var value: Value

        /// Creates a form field.
        public init(name: String, value: Value) {
            self.name = name
            self.value = value
        }

        /// What a part carries.
        public enum Value: Sendable, Equatable, Codable {
            case text(String)
            /// A path relative to the manifest; written `@path` there.
            case file(String)
        }
    }

    /// One condition on the JSON answer.
    public struct Expectation: Sendable, Equatable, Codable {
        /// Where to look: keys and indices from the root, as in `$.items[0].label`.
        public var path: [PathElement]
        /// What must hold there.
        public var matcher: Matcher

        /// Creates an expectation.
        public init(path: [PathElement], matcher: Matcher) {
            self.path = path
            self.matcher = matcher
        }
    }

    /// One step into a JSON value.
    public enum PathElement: Sendable, Equatable, Codable {
        case key(String)
        case index(Int)
    }

    /// What must hold for a value.
    public enum Matcher: Sendable, Equatable, Codable {
        /// The same value; numbers compare by value, not by spelling.
        case equals(JSONValue)
        /// A number, or a nested array of numbers, each within `tolerance` of its counterpart.
        case approximately(JSONValue, tolerance: Double)
        case atLeast(Double)
        case atMost(Double)
        case oneOf([JSONValue])
        /// Any value, as long as the path exists.
        case exists
        /// The number of elements of an array, members of an object or characters of a string.
        case length(Int)
    }
}
