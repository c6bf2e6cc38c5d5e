import CPlatform
import E2BProtocol
import Glibc

/// A folder, and with it the folders in it if so asked, whose changes are told.
final class FolderWatch: EventSource {
    /// Folders that one watch may cover.
    static let folderLimit = 8192
    /// The deepest folder, counted from the watched one.
    static let depthLimit = 64
    /// Entries announced of a folder that was filled before it could be watched.
    static let announcementLimit = 20_000
    private static let readLimit = 64 << 10
    /// Reads in one round of the loop.
    private static let roundLimit = 16

    let descriptor: Int32
    private let root: String
    private let request: WatchRequest
    private let options: AgentOptions
    private let loop: EventLoop
    /// Folders by number, relative to the root, which is empty.
    private var folders: [Int32: String] = [:]
    private var numbers: [String: Int32] = [:]
    /// What was announced before its own event, which may still come.
    private var announced: Set<String> = []
    private var batch: [FilesystemEvent] = []
    private var isOpen = true
    /// Whether events may not be taken now.
    var isHeldUp: () -> Bool = { false }
    var deliver: ([FilesystemEvent]) -> Void = { _ in }
    /// Called when events are missing from now on.
    var fail: (ConnectError) -> Void = { _ in }

    /// - Throws: `not_found`, `invalid_argument` for what is no folder or of another machine, `resource_exhausted`.
    init(_ request: WatchRequest, options: AgentOptions, loop: EventLoop) throws(ConnectError) {
        root = try PathResolver(options: options).resolve(request.path)
        self.request = request
        self.options = options
        self.loop = loop
        guard let status = FileStatus(following: root) else { throw FilesystemService.failure(errno, root) }
        guard status.isDirectory else { throw ConnectError(.invalidArgument, "'\(root)' is no folder") }
        guard request.allowNetworkMounts || berth_is_network_mount(root) == 0 else {
            throw ConnectError(.invalidArgument, "'\(root)' is on a network mount, whose changes are not all seen")
        }
        descriptor = berth_watch_open()
        guard descriptor >= 0 else {
            throw ConnectError(.resourceExhausted, "no more watches are to be had: \(errorText(-descriptor))")
        }
        do throws(ConnectError) {
            try enter("", depth: 0, announces: false)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        loop.add(self)
    }

    var interest: Int16 { isHeldUp() ? 0 : .readable }

    func close() {
        guard isOpen else { return }
        isOpen = false
        loop.remove(self)
        Glibc.close(descriptor)
    }

    func ready(_ events: Int16) { options.act { readAll() } }

    private func readAll() {
        for _ in 0..<Self.roundLimit where isOpen && !isHeldUp() {
            guard let bytes = readAvailable(descriptor, limit: Self.readLimit), !bytes.isEmpty else {
                // Everything that happened before the announcements has been seen.
                announced = []
                return
            }
            var failure: ConnectError?
            do throws(ConnectError) {
                try parse(bytes)
            } catch {
                failure = error
            }
            let events = batch
            batch = []
            if !events.isEmpty { deliver(events) }
            if let failure, isOpen { fail(failure) }
        }
    }

    private func parse(_ bytes: [UInt8]) throws(ConnectError) {
        var failure: ConnectError?
        bytes.withUnsafeBytes { buffer in
            var rest = UnsafeRawBufferPointer(buffer)
            var event = berth_watch_event()
            while case let length = berth_watch_parse(rest.baseAddress, rest.count, &event), length > 0 {
                do throws(ConnectError) {
                    try handle(event, name: event.name.map { String(cString: $0) } ?? "")
                } catch {
                    failure = error
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[length...])
            }
        }
        if let failure { throw failure }
    }

    private func handle(_ event: berth_watch_event, name: String) throws(ConnectError) {
        let kind = Int(event.kind)
        if kind == BERTH_WATCH_LOST {
            // What came meanwhile is watched from now on; what happened to it is not known.
            try enter("", depth: 0, announces: false)
            throw ConnectError(.resourceExhausted, "events were lost, as they came faster than they were taken")
        }
        guard let folder = folders[event.number] else { return }
        if kind == BERTH_WATCH_FORGOTTEN { return forget(event.number) }
        guard let type = Self.type(kind) else { return }
        // Of a folder inside, its own folder tells as well.
        guard !name.isEmpty else { return folder.isEmpty ? append(".", type) : () }
        let path = folder.isEmpty ? name : "\(folder)/\(name)"
        if kind == BERTH_WATCH_CREATED, announced.remove(path) != nil { return }
        append(path, type)
        guard request.recursive, event.is_folder != 0 else { return }
        switch kind {
        case BERTH_WATCH_CREATED: try enter(path, depth: Self.depth(path), announces: true)
        case BERTH_WATCH_ARRIVED: try enter(path, depth: Self.depth(path), announces: false)
        case BERTH_WATCH_LEFT: leave(path)
        default: break
        }
    }

    private static func type(_ kind: Int) -> FileEventType? {
        switch kind {
        case BERTH_WATCH_CREATED, BERTH_WATCH_ARRIVED: .create
        case BERTH_WATCH_REMOVED: .remove
        case BERTH_WATCH_LEFT: .rename
        case BERTH_WATCH_WRITTEN: .write
        case BERTH_WATCH_CHANGED: .chmod
        default: nil
        }
    }

    private static func depth(_ path: String) -> Int { path.utf8.count { $0 == UInt8(ascii: "/") } + 1 }

    private func append(_ path: String, _ type: FileEventType) {
        var event = FilesystemEvent(name: path, type: type)
        if request.includeEntry, type == .create || type == .write || type == .chmod {
            event.entry = try? FilesystemService(options: options).entry(PathResolver.clean("\(root)/\(path)"))
        }
        batch.append(event)
    }

    /// Watches a folder and those in it; `announces` tells of what it holds already.
    private func enter(_ path: String, depth: Int, announces: Bool) throws(ConnectError) {
        // The dot makes a link at the root lead on; links inside are not followed.
        let full = path.isEmpty ? "\(root)/." : "\(root)/\(path)"
        let number = berth_watch_add(descriptor, full)
        guard number >= 0 else {
            if number == -ENOSPC {
                throw ConnectError(.resourceExhausted, "the system's limit of watched folders is reached")
            }
            // It may be gone already, or not be ours to see.
            if !path.isEmpty { return }
            throw FilesystemService.failure(-number, root)
        }
        if let earlier = folders.updateValue(path, forKey: number), earlier != path { numbers[earlier] = nil }
        numbers[path] = number
        guard request.recursive else { return }
        guard folders.count <= Self.folderLimit else {
            forget(number)
            berth_watch_remove(descriptor, number)
            throw ConnectError(.resourceExhausted, "more than \(Self.folderLimit) folders are to be watched")
        }
        guard depth < Self.depthLimit else { return }
        for name in folderNames(full).sorted() {
            let inner = path.isEmpty ? name : "\(path)/\(name)"
            if announces, announced.count < Self.announcementLimit, announced.insert(inner).inserted {
                append(inner, .create)
            }
            guard FileStatus(of: "\(root)/\(inner)")?.isDirectory ?? false else { continue }
            try enter(inner, depth: depth + 1, announces: announces)
        }
    }

    /// A folder has been renamed away, with all that is in it.
    private func leave(_ path: String) {
        let inside = path + "/"
        for (name, number) in numbers where name == path || name.hasPrefix(inside) {
            forget(number)
            berth_watch_remove(descriptor, number)
        }
    }

    private func forget(_ number: Int32) {
        guard let path = folders.removeValue(forKey: number) else { return }
        if numbers[path] == number { numbers[path] = nil }
    }
}
