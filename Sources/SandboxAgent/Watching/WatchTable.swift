import DeploymentCore
import E2BProtocol

/// The watches of folders: streams, and watchers that are asked from time to time.
final class WatchTable {
    /// Watchers at once.
    static let watcherLimit = 64
    /// Events that a watcher keeps until it is asked.
    static let queueLimit = 4096
    private static let idLength = 20
    private let loop: EventLoop
    private var watchers: [String: Watcher] = [:]
    private var streams: [ObjectIdentifier: (watch: FolderWatch, subscription: Subscription)] = [:]

    private final class Watcher {
        let watch: FolderWatch
        var events: [FilesystemEvent] = []
        var failure: ConnectError?

        init(_ watch: FolderWatch) { self.watch = watch }
    }

    init(loop: EventLoop) { self.loop = loop }

    /// Answers `WatchDir`.
    func stream(
        _ request: WatchRequest, _ call: CallOptions, as options: AgentOptions, on connection: Connection
    ) throws(ConnectError) {
        let watch = try FolderWatch(request, options: options, loop: loop)
        let subscription = Subscription(
            connection, loop: loop, keepalive: call.keepalive,
            keepaliveFrame: connectFrame(WatchDirResponse.keepalive.json), stallLimit: options.stallLimit
        ) { [weak self] subscription in
            watch.close()
            self?.streams[ObjectIdentifier(subscription)] = nil
        }
        guard !subscription.isFinished else { return }
        streams[ObjectIdentifier(subscription)] = (watch, subscription)
        watch.isHeldUp = { [weak subscription] in subscription?.isFull ?? true }
        watch.deliver = { [weak subscription] events in
            for event in events { subscription?.send(frame: connectFrame(WatchDirResponse.event(event).json)) }
        }
        watch.fail = { [weak subscription] in subscription?.finish($0) }
        subscription.send(frame: connectFrame(WatchDirResponse.start.json))
        if let timeout = call.timeout { subscription.expire(after: timeout) }
    }

    /// Answers `CreateWatcher`.
    func create(_ request: WatchRequest, as options: AgentOptions) throws(ConnectError) -> WatcherReference {
        guard watchers.count < Self.watcherLimit else {
            throw ConnectError(.resourceExhausted, "\(Self.watcherLimit) watchers exist")
        }
        let watcher = Watcher(try FolderWatch(request, options: options, loop: loop))
        watcher.watch.deliver = { [weak watcher] events in
            guard let watcher, watcher.failure == nil else { return }
            watcher.events += events
            guard watcher.events.count > Self.queueLimit else { return }
            watcher.events = []
            watcher.failure = ConnectError(
                .resourceExhausted, "more than \(Self.queueLimit) events came before they were asked for; they are lost"
            )
        }
        watcher.watch.fail = { [weak watcher] in watcher?.failure = $0 }
        let characters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        let id = String((0..<Self.idLength).compactMap { _ in characters.randomElement() })
        watchers[id] = watcher
        return WatcherReference(watcherID: id)
    }

    /// Answers `GetWatcherEvents`; a loss is told once, and the watcher goes on.
    func takeEvents(_ reference: WatcherReference) throws(ConnectError) -> WatcherEventsResponse {
        let watcher = try find(reference)
        // What has happened by now is told now.
        watcher.watch.ready(.readable)
        defer { watcher.events = [] }
        if let failure = watcher.failure {
            watcher.failure = nil
            throw failure
        }
        return WatcherEventsResponse(events: watcher.events)
    }

    /// Answers `RemoveWatcher`.
    func remove(_ reference: WatcherReference) throws(ConnectError) {
        try find(reference).watch.close()
        watchers[reference.watcherID] = nil
    }

    private func find(_ reference: WatcherReference) throws(ConnectError) -> Watcher {
        guard let watcher = watchers[reference.watcherID] else {
            throw ConnectError(.notFound, "watcher with id \(reference.watcherID) not found")
        }
        return watcher
    }
}
