import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOSSL

/// What the channels of the gateway are made of.
enum Pipelines {
    /// A client's connection without TLS.
    static func addClient(to channel: any Channel, _ gate: GateLoop) throws {
        let entry = ConnectionEntry(gate, channel)
        try channel.pipeline.syncOperations.addHandler(entry)
        try addHTTP1(to: channel, gate, isSecure: false, isAdmitted: entry.isAdmitted)
    }

    /// A client's connection with TLS, which agrees on the version of HTTP.
    static func addSecureClient(
        to channel: any Channel, _ gate: GateLoop, _ context: NIOSSLContext
    ) throws -> EventLoopFuture<Void> {
        let entry = ConnectionEntry(gate, channel)
        entry.expectHandshake()
        let agreed = NIOLoopBound(entry, eventLoop: channel.eventLoop)
        try channel.pipeline.syncOperations.addHandlers([entry, NIOSSLServerHandler(context: context)])
        return channel.configureHTTP2SecureUpgrade(
            h2ChannelConfigurator: { channel in
                channel.eventLoop.makeCompletedFuture {
                    agreed.value.handshakeEnded()
                    try addHTTP2(to: channel, gate, isAdmitted: agreed.value.isAdmitted)
                }
            },
            http1ChannelConfigurator: { channel in
                channel.eventLoop.makeCompletedFuture {
                    agreed.value.handshakeEnded()
                    try addHTTP1(to: channel, gate, isSecure: true, isAdmitted: agreed.value.isAdmitted)
                }
            })
    }

    private static func addHTTP1(
        to channel: any Channel, _ gate: GateLoop, isSecure: Bool, isAdmitted: Bool
    ) throws {
        let timer = HeadTimer(gate, channel.eventLoop)
        var configuration = HTTPResponseEncoder.Configuration()
        configuration.automaticallySetFramingHeaders = false
        let decoder = HTTPRequestDecoder(
            leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop,
            limitConfiguration: decoderLimits(gate.limits))
        try channel.pipeline.syncOperations.addHandlers([
            timer, HTTPResponseEncoder(configuration: configuration), ByteToMessageHandler(decoder),
            ClientHandler(gate, timer: timer, isSecure: isSecure, isAdmitted: isAdmitted),
        ])
    }

    private static func addHTTP2(to channel: any Channel, _ gate: GateLoop, isAdmitted: Bool) throws {
        let limits = gate.limits
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.streams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.head),
        ]
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.outboundBufferSizeHighWatermark = 64 * 1024
        stream.outboundBufferSizeLowWatermark = 32 * 1024
        let idle = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(
                maxIdleTime: TimeAmount(limits.keepAliveIdle), maxAge: nil, maxGraceTime: nil,
                keepalive: .init(pingInterval: .minutes(2), ackTimeout: .seconds(20))))
        _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: connection, streamConfiguration: stream,
            streamDelegate: StreamLedger(idle.http2StreamDelegate)
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandlers([
                    AuthorityGuard(), HTTP2FramePayloadToHTTP1ServerCodec(),
                    ClientHandler(gate, timer: nil, isSecure: true, isAdmitted: isAdmitted),
                ])
            }
        }
        try channel.pipeline.syncOperations.addHandler(idle)
    }

    /// A connection to a port or to the control plane.
    static func addUpstream(to channel: any Channel, _ exchange: Exchange) throws {
        var configuration = HTTPRequestEncoder.Configuration()
        configuration.automaticallySetFramingHeaders = false
        let decoder = HTTPResponseDecoder(
            leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .forward,
            limitConfiguration: decoderLimits(exchange.gate.limits))
        try channel.pipeline.syncOperations.addHandlers([
            HTTPRequestEncoder(configuration: configuration), ByteToMessageHandler(decoder),
            UpstreamHandler(exchange),
        ])
    }

    /// Takes the decoder out of a connection that becomes a tunnel; what it holds is passed on.
    static func removeDecoder<Decoder: ByteToMessageDecoder>(
        of type: Decoder.Type, from channel: any Channel
    ) throws -> EventLoopFuture<Void> {
        let pipeline = channel.pipeline.syncOperations
        let context = try pipeline.context(handlerType: ByteToMessageHandler<Decoder>.self)
        return pipeline.removeHandler(context: context)
    }

    private static func decoderLimits(_ limits: SandboxGatewayLimits) -> NIOHTTPDecoderLimitConfiguration {
        var configuration = NIOHTTPDecoderLimitConfiguration()
        configuration.maxHeaderFieldSize = limits.head
        configuration.maxHeaderListSize = limits.head
        configuration.maxHeaderFieldCount = limits.fields
        return configuration
    }
}
