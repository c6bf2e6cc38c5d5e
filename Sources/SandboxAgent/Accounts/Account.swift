import CPlatform
import Glibc

/// A user inside a sandbox that has ids of its own.
public struct Account: Sendable, Equatable {
    /// The name, as in /etc/passwd.
    public var name: String
    /// The number, which is its group's too.
    public var number: UInt32
    /// The home folder.
    public var home: String
    /// The capabilities of its processes, a bit for each (linux/capability.h).
    public var capabilities: UInt64

    /// What root inside may do: own, read and give away all files of the sandbox, become its other users, signal their
    /// processes, and listen on the first 1024 ports. Nothing that reaches beyond: no mounts, networks or devices, no
    /// tracing, and nothing that would give these to others.
    static let rootCapabilities = bits([
        Capability.chown, .overrideAccess, .owner, .keepBits, .kill, .setGroup, .setUser, .bindPort,
    ])
    /// What the agent has beside: taking capabilities out of its children's reach.
    static let agentCapabilities = rootCapabilities | bits([.setCapabilities])

    /// The numbers of linux/capability.h.
    private enum Capability: UInt64 {
        case chown = 0
        case overrideAccess = 1
        case owner = 3
        case keepBits = 4
        case kill = 5
        case setGroup = 6
        case setUser = 7
        case setCapabilities = 8
        case bindPort = 10
    }

    private static func bits(_ capabilities: [Capability]) -> UInt64 {
        capabilities.reduce(0) { $0 | 1 << $1.rawValue }
    }

    /// The number of the user that apps run as.
    static let userNumber: UInt32 = 1000
    /// Root inside.
    static let root = Account(name: "root", number: 0, home: "/root", capabilities: rootCapabilities)

    /// The user that apps run as.
    static func user(_ name: String, home: String) -> Account {
        Account(name: name, number: userNumber, home: home, capabilities: 0)
    }

    /// What C takes.
    var identity: berth_account {
        berth_account(user: number, group: number, capabilities: capabilities)
    }

    /// Opens and makes files as this user while `body` runs.
    func act<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let before = berth_act_as(number, number)
        // The numbers of a user and its group are the same here.
        defer { berth_act_as(before, before) }
        return try body()
    }
}

extension AgentOptions {
    /// These options for whoever acts as `name`, empty for the sandbox's own user; nil when there is nobody of that name.
    func acting(as name: String) -> AgentOptions? {
        if name.isEmpty || name == user { return self }
        guard account != nil, name == Account.root.name else { return nil }
        var options = self
        options.user = name
        options.home = Account.root.home
        options.workingDirectory = Account.root.home
        options.account = .root
        return options
    }

    /// Opens and makes files as the user of these options while `body` runs.
    func act<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        guard let account else { return try body() }
        return try account.act(body)
    }

    /// Why nobody can act as `name`.
    func absence(of name: String) -> String {
        let reason = name == Account.root.name ? ": this sandbox has no ids of its own" : ""
        return "user '\(name)' does not exist here\(reason)"
    }
}

/// Takes a body as the user of the request.
final class ActingBody: BodySink {
    private let sink: any BodySink
    private let options: AgentOptions

    init(_ sink: any BodySink, options: AgentOptions) {
        self.sink = sink
        self.options = options
    }

    func receive(_ bytes: ArraySlice<UInt8>) { options.act { sink.receive(bytes) } }
    func complete() { options.act { sink.complete() } }
    func abandon() { options.act { sink.abandon() } }
}
