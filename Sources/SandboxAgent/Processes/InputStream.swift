import DeploymentCore
import E2BProtocol

/// The body of `StreamInput`: messages for one process, passed on as they come.
final class InputStream: BodySink {
    private let processes: ProcessTable
    private unowned let connection: Connection
    private var decoder = ConnectFrameDecoder()
    private var process: ManagedProcess?
    private var isRefused = false

    init(processes: ProcessTable, connection: Connection) {
        self.processes = processes
        self.connection = connection
    }

    func receive(_ bytes: ArraySlice<UInt8>) {
        guard !isRefused else { return }
        decoder.append(bytes)
        do throws(ConnectError) {
            while case .message(let message)? = try decoder.next() { try handle(StreamInputRequest(json: message)) }
            try holdUpWhileFull()
        } catch {
            refuse(error)
        }
    }

    private func handle(_ message: StreamInputRequest) throws(ConnectError) {
        switch message {
        case .start(let selector): process = try processes.find(selector)
        case .data(let input):
            guard let process else { throw ConnectError(.invalidArgument, "data comes before the start") }
            try process.write(input)
        case .keepalive: break
        }
    }

    private func holdUpWhileFull() throws(ConnectError) {
        guard let input = try? process?.openInput(), input.isFull else { return }
        connection.pausesBody = true
        input.whenRoom { [weak connection] in connection?.pausesBody = false }
    }

    private func refuse(_ error: ConnectError) {
        isRefused = true
        connection.beginStream()
        connection.endStream(error)
    }

    func complete() {
        guard !isRefused else { return }
        guard !decoder.isMidFrame else { return refuse(ConnectError(.invalidArgument, "the stream ends in a frame")) }
        connection.beginStream()
        connection.sendChunk(connectFrame([:]))
        connection.endStream()
    }

    func abandon() {}
}
