import DeploymentCore
import Foundation
import Waiting

/// What the apps print: one file per revision, kept small, and followed by readers.
///
/// Lines are `<time> <out|err> <text>`; files are cut at `maximumFileSize`, with one older file kept.
public final class LogBook: Sendable {
    /// The size in bytes at which a file is set aside; at most two of them exist per revision.
    public static let maximumFileSize = 8 << 20
    /// The most lines that a reader may begin with.
    public static let maximumTail = 10_000
    /// The longest line in bytes; longer ones are cut.
    public static let maximumLineLength = 16 << 10

    private let folder: String
    private let changed = Signal()
    private let now: @Sendable () -> Int64

    /// Opens the folder, making it.
    public init(folder: String, now: @escaping @Sendable () -> Int64) throws {
        self.folder = folder
        self.now = now
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    func file(_ deployment: String, _ revision: Int) -> String { "\(folder)/\(deployment)/\(revision).log" }

    /// Writes lines of one stream.
    func append(_ lines: [String], stream: String, deployment: String, revision: Int) {
        guard !lines.isEmpty else { return }
        let path = file(deployment, revision)
        let stamp = Self.timestamp(now())
        let text = lines.map { "\(stamp) \(stream) \($0.prefix(Self.maximumLineLength))\n" }.joined()
        // A full disk must not stop the app whose log this is: what cannot be written is lost, and only that.
        if let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int,
            size > Self.maximumFileSize
        {
            _ = rename(path, path + ".1")
        }
        guard let handle = fopen(path, "ae") else { return }
        fwrite(text, 1, text.utf8.count, handle)
        fclose(handle)
        changed.notify()
    }

    /// Makes room for what a deployment will print; without it, and after `remove`, its lines go nowhere.
    func open(_ deployment: String) {
        try? FileManager.default.createDirectory(atPath: "\(folder)/\(deployment)", withIntermediateDirectories: true)
    }

    /// Removes what a deployment printed.
    func remove(_ deployment: String) {
        try? FileManager.default.removeItem(atPath: "\(folder)/\(deployment)")
    }

    /// The last `count` lines, and then, when `following`, every later one until the reader stops.
    public func read(
        _ deployment: String, revision: Int, tail count: Int, following: Bool,
        _ deliver: @Sendable (String) async throws -> Void
    ) async throws {
        var version = changed.version
        let path = file(deployment, revision)
        var position = Position(path: path)
        let old = (try? String(contentsOfFile: path + ".1", encoding: .utf8)) ?? ""
        let lines = (old + position.next()).split(separator: "\n", omittingEmptySubsequences: true)
        let text = lines.suffix(count).map { $0 + "\n" }.joined()
        if !text.isEmpty { try await deliver(text) }
        while following, !Task.isCancelled {
            await changed.wait(after: version)
            version = changed.version
            let text = position.next()
            if !text.isEmpty { try await deliver(text) }
        }
    }

    /// A reader's place in a file that may be set aside under it.
    private struct Position {
        let path: String
        var offset: UInt64 = 0
        var identity: UInt64?

        mutating func next() -> String {
            guard let handle = FileHandle(forReadingAtPath: path) else { return "" }
            defer { try? handle.close() }
            var status = stat()
            guard fstat(handle.fileDescriptor, &status) == 0 else { return "" }
            if identity != UInt64(status.st_ino) { offset = 0 }
            identity = UInt64(status.st_ino)
            try? handle.seek(toOffset: offset)
            let data = (try? handle.readToEnd()) ?? Data()
            offset += UInt64(data.count)
            return String(decoding: data, as: UTF8.self)
        }
    }

    /// The time that a line begins with: `2026-11-21T02:03:04.567Z`.
    public static func timestamp(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1000)
            .formatted(
                .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }
}
