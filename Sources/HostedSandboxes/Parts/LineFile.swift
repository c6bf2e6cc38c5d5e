import DeploymentCore
import Foundation
import Glibc

/// Lines on disk, so that the next control plane knows them: appended as they come, and written anew with those that are
/// kept once as many again have come. What cannot be written is known to this control plane alone.
final class LineFile: Sendable {
    /// The absolute path; of this user alone.
    let path: String
    /// The most lines that are kept.
    let capacity: Int
    /// Lines in the file; nil once it was removed, which nothing undoes.
    private let count = Locked<Int?>(0)

    init(path: String, capacity: Int) {
        self.path = path
        self.capacity = capacity
    }

    /// The last lines of an earlier control plane, oldest first; the last may have been cut short.
    func load() -> [[UInt8]] {
        count.withLock { count in
            guard count != nil, let content = FileManager.default.contents(atPath: path) else { return [] }
            let all = content.split(separator: UInt8(ascii: "\n")).map(Array.init)
            let kept = Array(all.suffix(capacity))
            let isWhole = content.last == UInt8(ascii: "\n")
            count = !isWhole && rewrite(kept) ? kept.count : all.count
            return kept
        }
    }

    /// Adds a line, which has no line's end; `kept` are all that are to be there in the end, asked for now and then.
    func append(_ line: [UInt8], _ kept: () -> [[UInt8]]) {
        count.withLock { count in
            guard let lines = count else { return }
            if lines >= 2 * capacity {
                let kept = kept()
                if rewrite(kept) { count = kept.count }
                return
            }
            guard let file = Self.open(path, O_APPEND) else { return }
            if Self.write(line + [UInt8(ascii: "\n")], to: file) { count = lines + 1 }
            close(file)
        }
    }

    /// Removes the file; what comes later is not written.
    func remove() {
        count.withLock { count in
            count = nil
            unlink(path)
        }
    }

    private func rewrite(_ lines: [[UInt8]]) -> Bool {
        let draft = path + ".new"
        guard let file = Self.open(draft, O_TRUNC) else { return false }
        let isWritten = Self.write(lines.flatMap { $0 + [UInt8(ascii: "\n")] }, to: file)
        close(file)
        guard isWritten, rename(draft, path) == 0 else {
            unlink(draft)
            return false
        }
        return true
    }

    private static func open(_ path: String, _ flags: Int32) -> Int32? {
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0o600)
        return file >= 0 ? file : nil
    }

    private static func write(_ bytes: [UInt8], to file: Int32) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var rest = UnsafeRawBufferPointer(rebasing: buffer[...])
            while !rest.isEmpty {
                let count = Glibc.write(file, rest.baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
            return true
        }
    }
}
