import Crypto
import DeploymentCore
import Foundation

/// Every package that will be installed, with its version and the digests it may have.
public struct Lock: Sendable, Equatable {
    /// The file's name beside the manifest.
    public static let fileName = "requirements.lock"
    /// The most packages in one lock.
    public static let pinLimit = 2_000

    /// The file's whole text, comments included.
    public let text: String
    /// The packages in their order.
    public let pins: [Pin]
    /// Index options (`--index-url …`) that the packages come from.
    public let options: [String]
    /// The Python version it was resolved for; nil when a foreign lock does not say.
    public let python: String?
    /// The digest of what it was made from; nil in a foreign lock.
    public let inputs: String?

    /// One package.
    public struct Pin: Sendable, Equatable {
        /// The normalised name: lower case, `-` for `_` and `.`.
        public let name: String
        /// `name==version` or `name @ url`, with its marker if it has one.
        public let requirement: String
        /// `sha256:<hex>` of the files it may be installed from; at least one.
        public let hashes: [String]
    }

    /// Reads a lock: only pinned requirements with hashes, and index options over https.
    ///
    /// - Throws: `dependencies` naming the line that does not belong into a lock.
    public init(parsing text: String) throws(BerthError) {
        var pins: [Pin] = []
        var options: [String] = []
        for (number, line) in Self.logicalLines(text) {
            if line.hasPrefix("-") {
                guard line.wholeMatch(of: /(-i|--index-url|--extra-index-url)(\s+|=)https:\/\/\S+/) != nil else {
                    throw BerthError(.dependencies, "line \(number) of the lock: the option `\(line)` is not allowed")
                }
                options.append(line)
                continue
            }
            pins.append(try Self.pin(line, number))
            guard pins.count <= Self.pinLimit else {
                throw BerthError(.tooLarge, "the lock has more than \(Self.pinLimit) packages")
            }
        }
        self.text = text
        self.pins = pins
        self.options = options
        python = text.firstMatch(of: /(?m)^# python: (3\.\d+\.\d+)$/).map { String($0.1) }
        inputs = text.firstMatch(of: /(?m)^# inputs: sha256:([0-9a-f]{64})$/).map { String($0.1) }
    }

    init(pins: [Pin], options: [String], python: String, inputs: String) throws(BerthError) {
        var text = """
            # made by `berth lock`; commit it beside the manifest, do not edit it
            # python: \(python)
            # inputs: sha256:\(inputs)

            """
        for option in options { text += option + "\n" }
        for pin in pins {
            text += pin.requirement
            for hash in pin.hashes { text += " \\\n    --hash=\(hash)" }
            text += "\n"
        }
        try self.init(parsing: text)
    }

    /// What decides the installed packages: the lock without comments, one line each, sorted.
    public var content: String {
        let lines = pins.map { ([$0.requirement] + $0.hashes.sorted()).joined(separator: " ") }
        return (options + lines.sorted()).joined(separator: "\n")
    }

    /// Whether it was made from exactly these inputs; when not, say `lock is out of date` and make a new one.
    ///
    /// - Throws: `dependencies` when a file of the inputs is missing.
    public func isCurrent(for inputs: LockInputs) throws(BerthError) -> Bool {
        self.inputs == (try inputs.digest())
    }

    private static func pin(_ line: String, _ number: Int) throws(BerthError) -> Pin {
        let words = line.split(separator: " --hash=")
        let requirement = String(words.first ?? "").trimmingCharacters(in: .whitespaces)
        let hashes = words.dropFirst().map { $0.trimmingCharacters(in: .whitespaces) }
        let shape =
            #/
            ([A-Za-z0-9][A-Za-z0-9._-]*) (\[[A-Za-z0-9._,\ -]*\])? \s*
            (==\s*[A-Za-z0-9.+!_-]+ | @\s*(https|file):\/\/\S+) \s* (;.*)?
            /#
        guard let match = requirement.wholeMatch(of: shape) else {
            throw BerthError(
                .dependencies, "line \(number) of the lock: `\(requirement.prefix(100))` is not pinned with ==")
        }
        guard !hashes.isEmpty else {
            throw BerthError(.dependencies, "line \(number) of the lock: `\(requirement)` has no hash")
        }
        for hash in hashes where hash.wholeMatch(of: /sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})/) == nil
        {
            throw BerthError(.dependencies, "line \(number) of the lock: `\(hash.prefix(140))` is not a sha256 hash")
        }
        return Pin(name: normalised(match.1), requirement: requirement, hashes: hashes)
    }

    /// Lines without comments, continuation lines joined, with the number of the first.
    private static func logicalLines(_ text: String) -> [(Int, String)] {
        var result: [(Int, String)] = []
        var open: (number: Int, text: String)?
        for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            var line = raw.trimmingCharacters(in: .whitespacesAndNewlines)
            if line.hasPrefix("#") { continue }
            if let comment = line.firstRange(of: " #") { line = String(line[..<comment.lowerBound]) }
            let continues = line.hasSuffix("\\")
            if continues { line.removeLast() }
            line = (open.map { $0.text + " " } ?? "") + line.trimmingCharacters(in: .whitespaces)
            let number = open?.number ?? index + 1
            open = nil
            if continues {
                open = (number, line)
            } else if !line.isEmpty {
                result.append((number, line))
            }
        }
        if let open, !open.text.isEmpty { result.append((open.number, open.text)) }
        return result
    }

    /// PEP 503: runs of `-`, `_` and `.` are one `-`, in lower case.
    static func normalised(_ name: some StringProtocol) -> String {
        name.lowercased().split(omittingEmptySubsequences: true) { "-_.".contains($0) }.joined(separator: "-")
    }
}

extension Lock {
    /// Reads `requirements.lock`; nil when there is none.
    public static func read(from path: String) throws(BerthError) -> Lock? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return try Lock(parsing: LockInputs.read(path))
    }

    /// Writes the file atomically: whoever reads sees the old one or the new one.
    public func write(to path: String) throws(BerthError) {
        try Disk.write(text, to: path)
    }
}
