import CurlClient
import DeploymentCore
import E2BProtocol
import Foundation
import Sandboxes

/// From here into a sandbox.
struct CopyUpload: Sendable {
    /// The budget of one file.
    static let timeout = Duration.seconds(24 * 3_600)

    let agent: EnvdClient
    let report: CopyReport

    /// Copies a file, or a folder with all that is in it; into `target` where that is a folder.
    func run(_ source: String, to target: String) async throws {
        guard let status = LocalStatus(following: source) else {
            throw BerthError(.notFound, "there is no \(source) here")
        }
        let existing = try await entry(target)
        let isFolder = existing?.type == .directory || target.hasSuffix("/")
        let name = PathText.name(source)
        switch status.kind {
        case .file:
            try await file(source, status, to: isFolder && !name.isEmpty ? PathText.joined(target, name) : target)
        case .folder:
            guard existing == nil || existing?.type == .directory else {
                throw BerthError(.conflict, "\(target) in the sandbox is a file, and \(source) is a folder")
            }
            let root = existing != nil && !name.isEmpty ? PathText.joined(target, name) : target
            var links: [(path: String, target: String)] = []
            try await folder(source, "", to: root, depth: 0, &links)
            // `ln` does not know where relative paths of ours begin.
            let resolved = try await agent.stat(root).path
            for link in links { try await makeLink(link.target, at: PathText.joined(resolved, link.path)) }
        case .link, .other: throw BerthError(.usage, "\(source) is neither a file nor a folder")
        }
    }

    /// Copies standard input.
    func stream(to target: String) async throws {
        report.begin("-")
        let report = report
        try await agent.upload(
            .stream { writer in
                let input = try InputReader()
                while let bytes = await input.next() {
                    try await writer.write(bytes)
                    report.took(bytes.count)
                }
                // A reading that was cancelled is no end of the file.
                try Task.checkCancellation()
            }, to: target, timeout: Self.timeout)
        report.count { $0.files += 1 }
    }

    private func entry(_ path: String) async throws -> EntryInfo? {
        do {
            return try await agent.stat(path)
        } catch let error as BerthError where error.code == .notFound {
            return nil
        }
    }

    private func file(_ source: String, _ status: LocalStatus, to target: String) async throws {
        report.begin(source)
        let report = report
        try await agent.upload(
            .stream { writer in
                let descriptor = open(source, O_RDONLY | O_CLOEXEC)
                guard descriptor >= 0 else {
                    throw BerthError(.usage, "cannot read \(source): \(String(cString: strerror(errno)))")
                }
                defer { close(descriptor) }
                var buffer = [UInt8](repeating: 0, count: CopyLimits.part)
                var total: Int64 = 0
                while true {
                    let count = read(descriptor, &buffer, buffer.count)
                    guard count >= 0 else {
                        throw BerthError(.usage, "cannot read \(source): \(String(cString: strerror(errno)))")
                    }
                    guard count > 0 else { return }
                    total += Int64(count)
                    guard total <= CopyLimits.fileSize else {
                        throw BerthError(.tooLarge, "\(source) is larger than \(Output.bytes(CopyLimits.fileSize))")
                    }
                    try await writer.write(buffer[..<count])
                    report.took(count)
                }
            }, to: target, executable: status.isExecutable, timeout: Self.timeout)
        report.count { $0.files += 1 }
    }

    /// - Parameter path: the folder relative to the root of the copy.
    private func folder(
        _ source: String, _ path: String, to target: String, depth: Int,
        _ links: inout [(path: String, target: String)]
    ) async throws {
        guard depth < CopyLimits.depth else {
            throw BerthError(.tooLarge, "\(source) has more than \(CopyLimits.depth) folders within folders")
        }
        try await agent.makeFolder(target)
        report.count { $0.folders += 1 }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: source).sorted()
        } catch {
            throw BerthError(.usage, "cannot read the folder \(source)", cause: error)
        }
        for name in names {
            try Task.checkCancellation()
            let from = PathText.joined(source, name)
            let to = PathText.joined(target, name)
            guard var status = LocalStatus(of: from) else { continue }
            if status.kind == .link {
                let text = try? FileManager.default.destinationOfSymbolicLink(atPath: from)
                if let text, PathText.inside(text, from: path) != nil {
                    links.append((path.isEmpty ? name : "\(path)/\(name)", text))
                    continue
                }
                // What leads out of the tree would lead nowhere inside: its content is what was meant.
                guard let content = LocalStatus(following: from), content.kind == .file else {
                    report.skip(from, "the link leads out of the folder")
                    continue
                }
                status = content
            }
            switch status.kind {
            case .file: try await file(from, status, to: to)
            case .folder:
                try await folder(from, path.isEmpty ? name : "\(path)/\(name)", to: to, depth: depth + 1, &links)
            case .link, .other: report.skip(from, "neither a file nor a folder")
            }
        }
    }

    /// envd has no call for links, so the sandbox's own `ln` makes them.
    private func makeLink(_ target: String, at path: String) async throws {
        let process = try await agent.start(
            ProcessSpecification(tag: "", command: ["ln", "-sfn", "--", target, path], workingDirectory: "/"))
        for try await event in process.events {
            guard case .ended(let status) = event else { continue }
            guard status == .exited(code: 0) else {
                throw BerthError(.sandbox, "the link \(path) cannot be made in the sandbox: \(status)")
            }
        }
        report.count { $0.links += 1 }
    }
}

/// What a path here leads to.
struct LocalStatus {
    enum Kind { case file, folder, link, other }

    let kind: Kind
    let isExecutable: Bool

    /// nil when nothing is there.
    init?(following path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Of a link itself.
    init?(of path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .folder
            case S_IFLNK: .link
            default: .other
            }
        isExecutable = status.st_mode & 0o111 != 0
    }
}
