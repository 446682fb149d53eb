// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace RestBridge
{
    /// <summary>
    /// A connection to one daemon. All calls may come from any thread. Nothing but `WaitFrame`,
    /// `Request` and `Flush` waits, and the per-frame calls make no garbage. The connection comes
    /// back by itself when the daemon does.
    /// </summary>
    public sealed unsafe class BridgeClient : IVoiceSource, IDisposable
    {
        /// <summary>The rate of the voice and of `FrameLease.SampleIndex`.</summary>
        public const int VoiceRateHz = 48000;
        private const int RefusalBytes = 300;

        private readonly ClientHandle handle;

        private BridgeClient(ClientHandle handle)
        {
            this.handle = handle;
        }

        internal ClientHandle Handle
        {
            get { return handle; }
        }

        /// <summary>Version of the native library.</summary>
        /// <exception cref="BridgeException">there is none</exception>
        public static string LibraryVersion
        {
            get
            {
                try
                {
                    return Utf8.Text(Native.rb_version());
                }
                catch (TypeLoadException error)  // DllNotFound and EntryPointNotFound are of this kind
                {
                    throw BridgeException.NoLibrary(error);
                }
            }
        }

        /// <summary>This computer's monotonic clock, as in `FrameLease.PublishedNs`.</summary>
        public static long NowNs
        {
            get { return Native.rb_now_ns(); }
        }

        /// <summary>Whether it was not closed.</summary>
        public bool IsOpen
        {
            get { return !handle.IsClosed; }
        }

        /// <summary>Begins to connect; succeeds whether the daemon runs or not.</summary>
        /// <exception cref="BridgeException">no native library, or an option is wrong</exception>
        public static BridgeClient Open(BridgeOptions options)
        {
            try
            {
                using (OptionTexts texts = new OptionTexts())
                {
                    Native.Options native;
                    Native.rb_options_init(&native);
                    native.Frames = texts.Add(options.Frames ?? "");
                    native.Events = texts.Add(options.Events ?? "");
                    native.Control = texts.Add(options.Control ?? "");
                    native.Speech = texts.Add(options.Speech ?? "");
                    native.Format = (int)options.Format;
                    native.Voice = options.Voice ? 1 : 0;
                    native.Rig = options.Rig ? 1 : 0;
                    native.HistoryFrames = (uint)options.HistoryFrames;
                    native.VoiceBufferMs = (uint)options.VoiceBufferMs;
                    if (options.Keys != null)
                    {
                        native.ServerKey = texts.Add(options.Keys.Server);
                        native.PublicKey = texts.Add(options.Keys.Public);
                        native.SecretKey = texts.Add(options.Keys.Secret);
                    }
                    IntPtr opened;
                    Native.Result result = Native.rb_client_open(&native, out opened);
                    if (result != Native.Result.Ok) throw BridgeException.Of(result);
                    BridgeClient client = new BridgeClient(new ClientHandle(opened));
                    OpenClients.Add(client);
                    return client;
                }
            }
            catch (TypeLoadException error)
            {
                throw BridgeException.NoLibrary(error);
            }
        }

        /// <summary>Closes the connection; pictures that are held stay valid. Idempotent.</summary>
        public void Dispose()
        {
            OpenClients.Remove(this);
            if (handle.IsClosed) return;
            Native.rb_client_cancel(handle);
            handle.Dispose();
        }

        /// <summary>Brings a status up to date; nothing changes once this client is closed.</summary>
        public void Update(BridgeStatus status)
        {
            if (handle.IsClosed) return;
            Native.Status now;
            Native.rb_client_status(handle, &now);
            status.Fill(ref now, this);
        }

        internal string Refusal()
        {
            byte* text = stackalloc byte[RefusalBytes];
            Native.rb_client_refusal(handle, text, new UIntPtr(RefusalBytes));
            return Utf8.Text(text);
        }

        /// <summary>The newest picture, if it was not fetched yet.</summary>
        public bool TryGetLatest(out FrameLease frame)
        {
            return Take(out frame, 0, false);
        }

        /// <summary>Waits for a picture that was not fetched yet. Not for the main thread.</summary>
        public bool WaitFrame(int timeoutMs, out FrameLease frame)
        {
            frame = default(FrameLease);
            if (handle.IsClosed) return false;
            fixed (Native.Frame* native = &frame.Raw)
            {
                return Native.rb_frame_wait(handle, (uint)timeoutMs, native) == Native.Result.Ok;
            }
        }

        /// <summary>The picture on show at a media time; may be the same one again.</summary>
        public bool TryGetAt(long mediaNs, out FrameLease frame)
        {
            return Take(out frame, mediaNs, true);
        }

        private bool Take(out FrameLease frame, long mediaNs, bool byTime)
        {
            frame = default(FrameLease);
            if (handle.IsClosed) return false;
            fixed (Native.Frame* native = &frame.Raw)
            {
                Native.Result result = byTime
                    ? Native.rb_frame_at(handle, mediaNs, native)
                    : Native.rb_frame_latest(handle, native);
                return result == Native.Result.Ok;
            }
        }

        /// <summary>The newest face values, if they were not fetched yet.</summary>
        public bool TryGetRig(RigValues values)
        {
            if (handle.IsClosed) return false;
            Native.Rig rig;
            if (Native.rb_rig_latest(handle, &rig) != Native.Result.Ok) return false;
            values.Fill(ref rig);
            return true;
        }

        /// <summary>The face values of a media time; may be the same ones again.</summary>
        public bool TryGetRigAt(long mediaNs, RigValues values)
        {
            if (handle.IsClosed) return false;
            Native.Rig rig;
            if (Native.rb_rig_at(handle, mediaNs, &rig) != Native.Result.Ok) return false;
            values.Fill(ref rig);
            return true;
        }

        /// <inheritdoc />
        public int ReadVoice(float[] samples, int offset, int count, out long ptsNs)
        {
            ptsNs = -1;
            if (offset < 0 || count < 0 || offset > samples.Length - count)
            {
                throw new ArgumentOutOfRangeException("count", "The samples do not fit the array.");
            }
            if (count == 0) return 0;
            try
            {
                fixed (float* first = &samples[offset])
                fixed (long* pts = &ptsNs)
                {
                    return (int)Native.rb_voice_read(handle, first, new UIntPtr((uint)count), pts);
                }
            }
            catch (ObjectDisposedException)  // closed in this moment by another thread
            {
                Array.Clear(samples, offset, count);
                return 0;
            }
        }

        /// <inheritdoc />
        public int VoiceAvailable
        {
            get
            {
                try
                {
                    return (int)Native.rb_voice_available(handle);
                }
                catch (ObjectDisposedException)
                {
                    return 0;
                }
            }
        }

        /// <inheritdoc />
        public void SkipVoice(int keep)
        {
            if (!handle.IsClosed) Native.rb_voice_skip(handle, new UIntPtr((uint)Math.Max(0, keep)));
        }

        /// <summary>The next event in order, if there is one; give it back.</summary>
        public bool TryGetEvent(out BridgeEvent happened)
        {
            happened = default(BridgeEvent);
            if (handle.IsClosed) return false;
            fixed (Native.Event* native = &happened.Raw)
            {
                return Native.rb_event_next(handle, 0, native) == Native.Result.Ok;
            }
        }

        /// <summary>Sends a request (PROTOCOL.md, Control) and waits for its reply.</summary>
        /// <param name="operation">as "status" or "expression"</param>
        /// <param name="arguments">texts, lists of texts, numbers and truths by name; may be null</param>
        /// <param name="timeoutMs">how long to wait</param>
        /// <returns>the reply's values: as `Json.Parse` makes them</returns>
        /// <exception cref="BridgeException">refused, or no answer in time</exception>
        public Dictionary<string, object> Request(
            string operation, IDictionary<string, object> arguments = null, int timeoutMs = 2000)
        {
            IntPtr map = arguments == null ? IntPtr.Zero : RequestArguments.Pack(arguments);
            try
            {
                IntPtr reply;
                Native.Result result = Native.rb_request(
                    handle, Utf8.Bytes(operation), map, (uint)timeoutMs, out reply);
                if (result != Native.Result.Ok) throw BridgeException.Of(result);
                string json = Utf8.Text(Native.rb_map_json(reply));
                Native.rb_map_free(reply);
                return (Dictionary<string, object>)Json.Parse(json);
            }
            catch (ObjectDisposedException error)
            {
                throw new BridgeException(BridgeFailure.Closed, "The connection was closed.", error);
            }
            finally
            {
                if (map != IntPtr.Zero) Native.rb_map_free(map);
            }
        }

        /// <summary>As `Request`, in a thread of the pool.</summary>
        public Task<Dictionary<string, object>> RequestAsync(
            string operation, IDictionary<string, object> arguments = null, int timeoutMs = 2000)
        {
            return Task.Run(() => Request(operation, arguments, timeoutMs));
        }

        /// <summary>
        /// Barge-in: forgets lines of speech by name, or all with null. The face shows it within two
        /// pictures.
        /// </summary>
        /// <exception cref="BridgeException">refused, or no answer in time</exception>
        public void Flush(string[] names = null, int timeoutMs = 2000)
        {
            Dictionary<string, object> arguments = new Dictionary<string, object>();
            if (names != null) arguments["utterances"] = names;
            Request("flush", arguments, timeoutMs);
        }

        /// <summary>What to add to this computer's monotonic clock to get the daemon's, in ns.</summary>
        /// <exception cref="BridgeException">no answer in time</exception>
        public long ClockOffsetNs(int exchanges = 8)
        {
            long offset;
            Native.Result result = Native.rb_clock_offset(handle, (uint)exchanges, out offset);
            if (result != Native.Result.Ok) throw BridgeException.Of(result);
            return offset;
        }
    }
}
