import NIOCore
import Waiting

/// One client connection: reads requests strictly, one at a time, and gives each to an app connection.
///
/// All on one event loop. No futures, closures or allocations per request while an unused app connection is at hand.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Bodies up to this many bytes are copied behind their head, so that both leave in one write.
    static let coalescing = 16 * 1024
    /// A request buffer that has grown beyond this is given back after the request.
    static let keptCapacity = 32 * 1024

    /// Why nothing is read from the client.
    struct Pause: OptionSet {
        let rawValue: UInt8
        /// A request is complete, and its answer is not.
        static let pipelined = Pause(rawValue: 1)
        /// The app takes no more bytes.
        static let app = Pause(rawValue: 2)
    }

    /// Where it stands in the loop's list; -1 when it is not in it.
    var slot = -1
    /// The upstream that the present request is counted on.
    var lease: Generation?

    let loop: LoopState
    var context: ChannelHandlerContext?
    var exchange = Exchange()
    var upstream: UpstreamHandler?
    /// Names the app connection that is being opened.
    var ticket: UInt64?
    var request = RequestHead()
    var action = RouteAction.predict
    /// Whether the present request asks for more than health.
    var isUse = false
    var status = 0
    var paused: Pause = []
    /// A part of a head, or what came behind a request.
    var held: ByteBuffer?
    /// The request as the app gets it, kept while it may be sent again.
    var output: ByteBuffer
    var isReceiving = false

    private let address: String
    private let forwarded: [UInt8]
    private let isAdmitted: Bool
    private var framing = BodyFraming()
    private var search: HeadSearch?

    init(_ loop: LoopState, address: String, isAdmitted: Bool, _ allocator: ByteBufferAllocator) {
        self.loop = loop
        self.address = address
        self.isAdmitted = isAdmitted
        forwarded = Array(
            "X-Forwarded-For: \(address.isEmpty ? "unknown" : address)\r\nX-Forwarded-Proto: http\r\n".utf8)
        output = allocator.buffer(capacity: 1024)
        exchange.progress = loop.now
    }

    var isHead: Bool { request.isHead }
    var isVersion10: Bool { request.isVersion10 }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
        loop.count.leave(address)
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isAdmitted || loop.isStopping { refuse(isAdmitted ? .stopping : .tooManyConnections) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        exchange.close()
        // The app must not work on for nobody.
        release(status: 0)
        held = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { receive(unwrapInboundIn(data)) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Takes bytes from the client.
    func receive(_ incoming: ByteBuffer) {
        var bytes = incoming
        if var held {
            self.held = nil
            held.writeBuffer(&bytes)
            bytes = held
        }
        isReceiving = true
        defer { isReceiving = false }
        while bytes.readableBytes > 0 {
            switch exchange.phase {
            case .head:
                do throws(Refusal) {
                    guard try takeHead(&bytes) else {
                        held = bytes
                        return
                    }
                } catch {
                    request = RequestHead()
                    refuse(Problem(error))
                }
            case .body: takeBody(&bytes)
            case .answer:
                held = bytes
                pause(.pipelined)
                return
            case .flushing, .lingering, .closed: return
            }
        }
    }

    // MARK: head

    /// False when the head is not complete.
    private func takeHead(_ bytes: inout ByteBuffer) throws(Refusal) -> Bool {
        guard isWorthParsing(bytes) else { return false }
        let count = min(bytes.readableBytes, loop.limits.head + 1)
        let capacity = 2 * count + RequestHead.overhead
        output.clear(minimumCapacity: capacity)
        var refusal: Refusal?
        var finding: RouteBoard.Finding?
        var start = 0
        bytes.withUnsafeReadableBytes { source in
            let source = UnsafeRawBufferPointer(rebasing: source[..<count])
            let input = source.assumingMemoryBound(to: UInt8.self).span
            _ = output.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { memory in
                do throws(Refusal) {
                    let parsed = try RequestHead.parse(
                        input, into: memory, limits: loop.limits, forwarded: forwarded)
                    guard let parsed else { return 0 }
                    request = parsed
                    let action = RouteAction(input, parsed.target)
                    isUse = action == .predict || action == .info
                    let name = UnsafeRawBufferPointer(rebasing: source[parsed.target.name])
                    let found = loop.board.begin(name, isUse: isUse)
                    finding = found
                    if case .serving(let generation) = found {
                        start = writeLine(action, generation, input, memory) ?? -1
                    }
                    return parsed.end
                } catch {
                    refusal = error
                    return 0
                }
            }
        }
        if let refusal { throw refusal }
        guard let finding else {
            exchange.partialHead(at: loop.now)
            request = RequestHead()
            if search == nil { search = HeadSearch() }
            return false
        }
        search = nil
        status = 0
        bytes.moveReaderIndex(forwardBy: request.length)
        exchange.begin(keepsAlive: request.keepsAlive, at: loop.now)
        route(finding, start, &bytes)
        return true
    }

    private func isWorthParsing(_ bytes: ByteBuffer) -> Bool {
        guard search != nil else { return true }
        return bytes.withUnsafeReadableBytes {
            search?.isWorthParsing($0.assumingMemoryBound(to: UInt8.self).span, limit: loop.limits.head) ?? true
        }
    }

    /// Writes the request line if the path is mapped; where it starts, or nil.
    private func writeLine(
        _ action: RouteAction?, _ generation: Generation, _ input: Span<UInt8>, _ memory: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard let action else { return nil }
        self.action = action
        let path = generation.path(action)
        guard !path.isEmpty else { return nil }
        return request.writeRequestLine(input, path: path, into: memory)
    }

    /// The head is complete: on to the app, or an answer of our own.
    private func route(_ finding: RouteBoard.Finding, _ start: Int, _ bytes: inout ByteBuffer) {
        framing = BodyFraming(request.framing)
        switch finding {
        case .unknown: answerLocally(Problem.unknownDeployment.answer, &bytes)
        case .announced(let problem): answerLocally(problem.answer, &bytes)
        case .serving(let generation):
            lease = generation
            guard start >= 0 else {
                answerLocally(Problem.unknownPath(generation.route.name).answer, &bytes)
                return
            }
            if action == .health, let health = generation.restingHealth {
                answerLocally(OwnAnswer(status: 200, body: health), &bytes)
                return
            }
            let maximum = generation.upstream.maximumBody
            if case .length(let length) = request.framing, length > maximum {
                refuse(Problem(.bodyTooLarge))
                return
            }
            framing = BodyFraming(request.framing, maximum: maximum)
            output.moveReaderIndex(to: start)
            if request.expectsContinue, !framing.isComplete, bytes.readableBytes == 0 { writeContinue() }
            dispatch(&bytes)
        }
    }

    /// Answers without the app; a body that has come already is read over, so that the connection can go on.
    private func answerLocally(_ answer: OwnAnswer, _ bytes: inout ByteBuffer) {
        do throws(Refusal) {
            while bytes.readableBytes > 0, !framing.isComplete {
                let piece = try framing.next(in: bytes)
                bytes.moveReaderIndex(forwardBy: piece.count)
            }
        } catch {
            refuse(Problem(error))
            return
        }
        if framing.isComplete { exchange.requestEnded(at: loop.now) }
        give(answer)
    }

    /// Sends the head and what came with it of the body, if that is small, in one write.
    private func dispatch(_ bytes: inout ByteBuffer) {
        if bytes.readableBytes <= Self.coalescing {
            do throws(Refusal) {
                while bytes.readableBytes > 0, !framing.isComplete {
                    let piece = try framing.next(in: bytes)
                    guard var slice = bytes.readSlice(length: piece.count) else { break }
                    exchange.received += piece.count
                    if piece.isForwarded { output.writeBuffer(&slice) }
                }
            } catch {
                refuse(Problem(error))
                return
            }
        }
        if framing.isComplete { exchange.requestEnded(at: loop.now) }
        let goesOn = bytes.readableBytes > 0 && !framing.isComplete
        if let lease, let unused = lease.pools[loop.index].take() {
            exchange.isReused = true
            use(unused)
            unused.send(output, flushing: !goesOn)
        } else {
            connect()
        }
    }

    // MARK: body

    private func takeBody(_ bytes: inout ByteBuffer) {
        exchange.progress = loop.now
        do throws(Refusal) {
            while bytes.readableBytes > 0, !framing.isComplete {
                let piece = try framing.next(in: bytes)
                guard let slice = bytes.readSlice(length: piece.count) else { break }
                exchange.received += piece.count
                if piece.isForwarded { passBody(slice) }
            }
        } catch {
            refuse(Problem(error))
            return
        }
        upstream?.flush()
        if framing.isComplete { exchange.requestEnded(at: loop.now) }
    }

    private func passBody(_ slice: ByteBuffer) {
        var copied = slice
        guard let upstream else {
            // Everything waits in memory until the app is connected; beyond the limit nothing more is read.
            output.writeBuffer(&copied)
            if output.readableBytes > loop.limits.replay { pause(.app) }
            return
        }
        if exchange.isReplayable {
            if output.readableBytes + copied.readableBytes <= loop.limits.replay {
                output.writeBuffer(&copied)
            } else {
                exchange.isReplayable = false
            }
        }
        upstream.send(slice, flushing: false)
        if !upstream.isWritable, let lease { loop.board.noteBuffer(lease, upstream.bufferedBytes) }
    }
}
