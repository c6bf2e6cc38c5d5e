import DeploymentCore
import E2BProtocol
import Glibc

/// `POST /files`: one file as the body, or several as parts of a form, written to disk as they come.
final class FileUpload: BodySink {
    private static let modeLimit: mode_t = 0o7777
    /// Files in one form.
    private static let partLimit = 10_000
    private unowned let connection: Connection
    private let options: AgentOptions
    private let mode: mode_t?
    private let metadata: [String: String]
    /// The path in the query; a form's parts may bring their own.
    private let path: String?
    private var form: MultipartParser?
    private var current: UploadedFile?
    private var written: [WrittenFile] = []
    private var isRefused = false

    private init(
        connection: Connection, options: AgentOptions, mode: mode_t?, metadata: [String: String], path: String?,
        form: MultipartParser?
    ) {
        self.connection = connection
        self.options = options
        self.mode = mode
        self.metadata = metadata
        self.path = path
        self.form = form
    }

    static func begin(_ head: RequestHead, options: AgentOptions, on connection: Connection) -> (any BodySink)? {
        var mode: mode_t?
        if let text = head["x-berth-mode"] {
            guard let value = mode_t(text, radix: 8), value <= modeLimit else {
                connection.fail(status: 400, message: "X-Berth-Mode is not an octal mode")
                return nil
            }
            mode = value
        }
        let metadata: [String: String]
        do {
            metadata = try FileMetadata.requested(head)
        } catch {
            connection.fail(status: 400, message: error.message)
            return nil
        }
        let path = head.query["path"].flatMap { $0.isEmpty ? nil : $0 }
        switch head.mediaType {
        case "multipart/form-data":
            guard let form = MultipartParser(contentType: head["content-type"] ?? "") else {
                connection.fail(status: 400, message: "the form has no boundary")
                return nil
            }
            return FileUpload(
                connection: connection, options: options, mode: mode, metadata: metadata, path: path, form: form)
        case "application/octet-stream":
            guard let path else {
                connection.fail(status: 400, message: "the query has no path")
                return nil
            }
            let upload = FileUpload(
                connection: connection, options: options, mode: mode, metadata: metadata, path: path, form: nil)
            return upload.open(path) ? upload : nil
        default:
            connection.fail(status: 415, message: "files come as application/octet-stream or multipart/form-data")
            return nil
        }
    }

    /// Opens the next file; whether that worked.
    private func open(_ path: String) -> Bool {
        let resolved: String
        do {
            resolved = try PathResolver(options: options).resolve(path)
        } catch {
            refuse(status: 400, error.message)
            return false
        }
        guard !written.contains(where: { $0.path == resolved }) else {
            refuse(status: 400, "two parts have the path '\(resolved)'")
            return false
        }
        guard written.count < Self.partLimit else {
            refuse(status: 400, "the form has more than \(Self.partLimit) files")
            return false
        }
        do {
            current = try UploadedFile(path: resolved, mode: mode, metadata: metadata)
            written.append(WrittenFile(name: PathResolver.name(resolved), path: resolved, metadata: metadata))
            return true
        } catch {
            isRefused = true
            connection.failFile(error.error, resolved)
            return false
        }
    }

    func receive(_ bytes: ArraySlice<UInt8>) {
        guard !isRefused else { return }
        guard form != nil else { return write(bytes) }
        form?.append(bytes)
        pump()
    }

    private func pump() {
        do {
            while !isRefused, let event = try form?.next() {
                switch event {
                case .begin(let part):
                    guard part.name == "file" else { continue }
                    guard let path = path ?? part.filename, open(path) else {
                        if !isRefused { refuse(status: 400, "a part has no file name and the query no path") }
                        return
                    }
                case .bytes(let bytes): if current != nil { write(bytes) }
                case .end:
                    current?.finish()
                    current = nil
                }
            }
        } catch {
            refuse(status: 400, error.message)
        }
    }

    private func write(_ bytes: ArraySlice<UInt8>) {
        do {
            try current?.write(bytes)
        } catch {
            isRefused = true
            let path = current?.path ?? ""
            current?.discard()
            current = nil
            connection.failFile(error.error, path)
        }
    }

    private func refuse(status: Int, _ message: String) {
        guard !isRefused else { return }
        isRefused = true
        current?.discard()
        current = nil
        connection.fail(status: status, message: message)
    }

    func complete() {
        guard !isRefused else { return }
        if let form, !form.isDone { return refuse(status: 400, "the form ends before its last boundary") }
        current?.finish()
        current = nil
        connection.respond(json: .array(written.map(\.json)))
    }

    func abandon() {
        current?.discard()
        current = nil
    }
}
