/// What the user declares: one model behind one URL. `docs` for each key are in `manifests/reference.yaml`.
///
/// A value of this type is valid: `ManifestParsing` reports everything else with line and column.
public struct Manifest: Sendable, Equatable, Codable {
    /// The deployment's name: a DNS label of at most 63 characters; the route is `/<name>`.
    public var name: String
    /// The ML model: what it is and which files it needs.
    public var model: Model
    /// The app that serves it, and where it listens.
    public var server: Server
    /// The Python version as `3.11` or `3.11.7`; nil takes the default interpreter of the machine.
    public var python: String?
    /// What has to be installed.
    public var requirements: Requirements
    /// Environment variables of the app.
    public var env: [String: String]
    /// How health is proven.
    public var health: Health
    /// How predictions are reached.
    public var predict: Predict
    /// Predictions that must hold before traffic moves.
    public var smoke: [SmokeTest]
    /// How traffic moves.
    public var rollout: RolloutSettings
    /// Sandboxes kept ready for the next deploy or restart, whose process has imported what the app imports; nil, from a
    /// revision of an earlier version, is the default.
    public var standby: Int?
    /// How much of the machine the app may use; nil leaves everything to the engine.
    public var resources: SandboxLimits?
    /// The weakest isolation that will do; nil takes the strongest that the machine has.
    public var isolation: Isolation?
    /// What the app may reach; nil is nothing where that can be enforced, and whatever the machine reaches elsewhere.
    public var network: NetworkAccess?
    /// What happens when nobody asks for anything; nil is nothing.
    public var idle: Idle?
    /// How long the deployment lives, from the promotion of the revision on; nil is until it is destroyed.
    public var ttl: Duration?
    /// Whether the app may become root inside its sandbox; nil and false are no.
    public var sudo: Bool?
    /// Where the sandbox is made; nil is this machine.
    public var provider: Provider?

    /// The sandboxes kept ready unless the manifest says otherwise.
    public static let defaultStandby = 1

    /// Creates a manifest; everything but the name has its documented default.
    public init(
        name: String, model: Model = Model(), server: Server = Server(), python: String? = nil,
        requirements: Requirements = .none, env: [String: String] = [:], health: Health = Health(),
        predict: Predict = Predict(), smoke: [SmokeTest] = [], rollout: RolloutSettings = RolloutSettings(),
        standby: Int? = Manifest.defaultStandby, resources: SandboxLimits? = nil, isolation: Isolation? = nil,
        network: NetworkAccess? = nil, idle: Idle? = nil, ttl: Duration? = nil, sudo: Bool? = nil,
        provider: Provider? = nil
    ) {
        self.name = name
        self.model = model
        self.server = server
        self.python = python
        self.requirements = requirements
        self.env = env
        self.health = health
        self.predict = predict
        self.smoke = smoke
        self.rollout = rollout
        self.standby = standby
        self.resources = resources
        self.isolation = isolation
        self.network = network
        self.idle = idle
        self.ttl = ttl
        self.sudo = sudo
        self.provider = provider
    }
}

extension Manifest {
    /// The ML model.
    public struct Model: Sendable, Equatable, Codable {
        /// Reported as `model_type`; nil leaves it to the template (`sklearn`, `onnx`, `torch`, `python`).
        public var type: String?
        /// The files, in the manifest's order; the first one is what a template loads.
        public var files: [File]

        /// Creates a model.
        public init(type: String? = nil, files: [File] = []) {
            self.type = type
            self.files = files
        }

        /// One file or directory of the model.
        public struct File: Sendable, Equatable, Codable {
            /// A path relative to the manifest, or an `https://` URL.
            public var source: String
            /// Where it lands, relative to the app folder, with `/` and without `..`.
            public var target: String
            /// The pinned digest, 64 lower-case hex digits; only for single files.
            public var sha256: String?

            /// Creates a model file.
            public init(source: String, target: String, sha256: String? = nil) {
                self.source = source
                self.target = target
                self.sha256 = sha256
            }

            /// Whether the source is fetched by the control plane rather than read beside the manifest.
            public var isRemote: Bool { source.hasPrefix("https://") }
        }
    }

    /// The app that serves the model.
    public struct Server: Sendable, Equatable, Codable {
        /// The port that the app listens on inside its sandbox, unless the environment says otherwise.
        public static let defaultPort = 49999

        /// The framework a template is written for; ignored for own apps.
        public var framework: Framework
        /// What is started.
        public var app: App
        /// The TCP port inside the sandbox; the app finds it in `PORT`.
        public var port: Int
        /// Where own code is taken from, relative to the manifest; nil copies nothing but what the app names.
        public var source: String?
        /// Paths under `source` that are not copied, as glob patterns.
        public var exclude: [String]
        /// The working directory, relative to the app folder; nil is the app folder itself.
        public var workingDirectory: String?

        /// Creates a server.
        public init(
            framework: Framework = .fastapi, app: App = .template("python"), port: Int = Server.defaultPort,
            source: String? = nil, exclude: [String] = [], workingDirectory: String? = nil
        ) {
            self.framework = framework
            self.app = app
            self.port = port
            self.source = source
            self.exclude = exclude
            self.workingDirectory = workingDirectory
        }

        /// The web frameworks that templates exist for.
        public enum Framework: String, Sendable, Equatable, Codable, CaseIterable {
            case fastapi
            case flask
        }

        /// What is started in the sandbox.
        public enum App: Sendable, Equatable, Codable {
            /// Rendered from `templates/<framework>/<name>`.
            case template(String)
            /// The user's own ASGI or WSGI app: a file (`app.py`), or `package.module:attribute`.
            case own(String)
            /// The user's own command, listening on `$PORT`.
            case command([String])
        }

        /// Whether the app is rendered by us, and so answers with our nonce.
        public var isRendered: Bool {
            if case .template = app { true } else { false }
        }
    }

    /// What has to be installed.
    public enum Requirements: Sendable, Equatable, Codable {
        /// Nothing beyond what a template needs.
        case none
        /// Requirement lines (PEP 508), as in a `requirements.txt`.
        case list([String])
        /// A file beside the manifest: `requirements.txt`, `pyproject.toml` or a lock with hashes.
        case file(String)
    }

    /// How health is proven, before and after promotion.
    public struct Health: Sendable, Equatable, Codable {
        /// The path asked; nil for an app without one, which is then gated by process, port and smoke predictions.
        public var path: String?
        /// The shortest interval between probes; grows with the time spent, up to `maximumInterval`.
        public var interval: Duration
        /// The budget of one probe.
        public var timeout: Duration
        /// The budget from process start to the first healthy answer.
        public var startupTimeout: Duration
        /// Healthy answers in a row that make a replica ready.
        public var successThreshold: Int
        /// Failures in a row after promotion that restart a replica.
        public var failureThreshold: Int
        /// What the JSON body must contain; nil accepts any 2xx body.
        public var expect: JSONValue?
        /// Headers sent with each probe, for own apps that authenticate everything.
        public var headers: [String: String]

        /// The longest interval between probes.
        public static let maximumInterval = Duration.seconds(1)
        /// The interval between liveness probes once a replica serves.
        public static let livenessInterval = Duration.seconds(10)

        /// Creates health settings.
        public init(
            path: String? = "/health", interval: Duration = .milliseconds(50), timeout: Duration = .seconds(1),
            startupTimeout: Duration = .seconds(120), successThreshold: Int = 1, failureThreshold: Int = 3,
            expect: JSONValue? = nil, headers: [String: String] = [:]
        ) {
            self.path = path
            self.interval = interval
            self.timeout = timeout
            self.startupTimeout = startupTimeout
            self.successThreshold = successThreshold
            self.failureThreshold = failureThreshold
            self.expect = expect
            self.headers = headers
        }

        /// What a rendered app answers once its model is loaded.
        public static let renderedExpectation: JSONValue = ["status": "healthy", "model_loaded": true]
    }

    /// How predictions are reached.
    public struct Predict: Sendable, Equatable, Codable {
        /// The app's own path, mapped onto `/<name>/predict`.
        public var path: String
        /// The app's own path mapped onto `/<name>/info`; nil when it has none.
        public var infoPath: String?
        /// The budget of one prediction at the gateway.
        public var timeout: Duration

        /// Creates prediction settings.
        public init(path: String = "/predict", infoPath: String? = "/info", timeout: Duration = .seconds(30)) {
            self.path = path
            self.infoPath = infoPath
            self.timeout = timeout
        }
    }

    /// What happens when nobody asks for anything.
    public struct Idle: Sendable, Equatable, Codable {
        /// The time without a request after which the sandbox is paused; the next request wakes it. Nil is never.
        public var pauseAfter: Duration?
        /// The time without a request after which the sandbox is removed; the next request starts another one. Nil is
        /// never.
        public var stopAfter: Duration?

        /// Creates idle settings.
        public init(pauseAfter: Duration? = nil, stopAfter: Duration? = nil) {
            self.pauseAfter = pauseAfter
            self.stopAfter = stopAfter
        }
    }

    /// How traffic moves from one revision to the next.
    public struct RolloutSettings: Sendable, Equatable, Codable {
        /// How long requests in flight may take on the old revision before they are cut.
        public var drain: Duration

        /// Creates rollout settings.
        public init(drain: Duration = .seconds(30)) {
            self.drain = drain
        }
    }
}
