// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace RestBridge
{
    /// <summary>
    /// One message of the protocol, decoded by the native library from bytes that come from elsewhere:
    /// a WebSocket, a recording.
    /// </summary>
    public sealed class WireMessage
    {
        /// <summary>"RGBA", "EVNT", ...</summary>
        public string Topic { get; private set; }
        /// <summary>All keys of the header, as `Json.Parse` makes them.</summary>
        public Dictionary<string, object> Header { get; private set; }
        /// <summary>Of events, requests and replies; else null.</summary>
        public Dictionary<string, object> Body { get; private set; }
        /// <summary>Pixels, samples, values, or the packed body.</summary>
        public byte[] Payload { get; private set; }

        private WireMessage()
        {
        }

        /// <summary>Decodes one message.</summary>
        /// <exception cref="BridgeException">the bytes are no message of this protocol version</exception>
        public static unsafe WireMessage Decode(byte[] data)
        {
            Native.Message native = default(Native.Message);
            try
            {
                Native.Result result = Native.rb_message_decode(
                    data, new UIntPtr((uint)data.Length), &native);
                if (result != Native.Result.Ok) throw BridgeException.Of(result);
                WireMessage message = new WireMessage();
                message.Topic = Utf8.Text(native.Topic);
                message.Header = Map(native.Header);
                if (native.Body != IntPtr.Zero) message.Body = Map(native.Body);
                message.Payload = new byte[(int)native.Size];
                Marshal.Copy(native.Payload, message.Payload, 0, message.Payload.Length);
                return message;
            }
            catch (TypeLoadException error)
            {
                throw BridgeException.NoLibrary(error);
            }
            finally
            {
                if (native.Owner != IntPtr.Zero) Native.rb_message_release(&native);
            }
        }

        private static Dictionary<string, object> Map(IntPtr map)
        {
            return (Dictionary<string, object>)Json.Parse(Utf8.Text(Native.rb_map_json(map)));
        }
    }
}
