import CPlatform
import Glibc

/// One file being written.
///
/// It is written in place: a watcher sees it created, changed in mode, and written, as envd's clients expect.
final class UploadedFile {
    private static let defaultMode: mode_t = 0o644
    let path: String
    private var descriptor: Int32
    private let isNew: Bool

    /// Why a file cannot be written.
    struct Failure: Error {
        var error: Int32
    }

    /// Creates or empties the file, and makes its folders.
    ///
    /// - Parameter metadata: replaces what was noted about the file.
    init(path: String, mode: mode_t?, metadata: [String: String] = [:]) throws(Failure) {
        self.path = path
        let error = FilesystemService.makeFolders(PathResolver.folder(path))
        guard error == 0 else { throw Failure(error: error) }
        var created: Int32 = 0
        descriptor = berth_open_write(path, Self.defaultMode, &created)
        isNew = created != 0
        guard descriptor >= 0 else { throw Failure(error: -descriptor) }
        // Of a new file always, so that no mask of ours changes it and watchers see the same sequence.
        if let mode = mode ?? (isNew ? Self.defaultMode : nil), fchmod(descriptor, mode) != 0 {
            let error = errno
            discard()
            throw Failure(error: error)
        }
        guard !isNew || !metadata.isEmpty else { return }
        if case let error = FileMetadata.replace(on: descriptor, with: metadata), error != 0 {
            discard()
            throw Failure(error: error)
        }
    }

    deinit { finish() }

    func write(_ bytes: ArraySlice<UInt8>) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                guard errno != EINTR else { continue }
                throw Failure(error: errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    func finish() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    /// Closes it, and removes it unless it was there before.
    func discard() {
        finish()
        if isNew { unlink(path) }
    }
}
