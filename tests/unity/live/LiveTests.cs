// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace RestBridge.Tests
{
    /// <summary>Addresses of the servers that pytest runs, and waiting with an end.</summary>
    internal static class Live
    {
        public static string Variable(string name)
        {
            return Environment.GetEnvironmentVariable("REST_BRIDGE_" + name) ?? "";
        }

        public static BridgeOptions Options()
        {
            return new BridgeOptions
            {
                Frames = Variable("FRAMES"), Events = Variable("EVENTS"),
                Control = Variable("CONTROL"), Speech = Variable("SPEECH")
            };
        }

        public static string Folder
        {
            get { return Variable("FOLDER"); }
        }

        public static void Until(Func<bool> condition, string what, double seconds = 60)
        {
            double end = PlaybackClock.Now + seconds;
            while (!condition())
            {
                Assert.Less(PlaybackClock.Now, end, "It never came to this: " + what);
                Thread.Sleep(2);
            }
        }
    }

    /// <summary>The core against a running daemon.</summary>
    [TestFixture, Category("live")]
    public sealed class LiveTests
    {
        private static string Hash(SHA256 sha, ref FrameLease frame, byte[] room)
        {
            System.Runtime.InteropServices.Marshal.Copy(frame.Data, room, 0, frame.Size);
            return BitConverter.ToString(sha.ComputeHash(room, 0, frame.Size)).Replace("-", "").ToLowerInvariant();
        }

        [Test]
        public void Frames_are_received_and_their_hashes_written_for_the_Python_client_to_compare()
        {
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            using (SHA256 sha = SHA256.Create())
            {
                StringBuilder lines = new StringBuilder();
                byte[] room = new byte[4 << 20];
                int seen = 0;
                long before = -1;
                File.WriteAllText(Path.Combine(Live.Folder, "ready"), "");
                Live.Until(() =>
                {
                    FrameLease frame;
                    if (!client.WaitFrame(1000, out frame)) return false;
                    Assert.Greater(frame.Sequence, before);
                    Assert.AreEqual(frame.SampleIndex * 1000000000 / 48000, frame.PtsNs);
                    Assert.IsTrue(frame.Synthetic);
                    before = frame.Sequence;
                    lines.Append(frame.Sequence).Append(' ').Append(Hash(sha, ref frame, room)).Append('\n');
                    frame.Dispose();
                    return ++seen == 30;
                }, "30 frames");
                File.WriteAllText(Path.Combine(Live.Folder, "hashes"), lines.ToString());
            }
        }

        [Test]
        public unsafe void A_frame_is_copied_upright_for_a_texture_and_written_as_a_picture()
        {
            foreach (PictureFormat format in new[] { PictureFormat.Rgba, PictureFormat.Jpeg })
            {
                BridgeOptions options = Live.Options();
                options.Format = format;
                using (BridgeClient client = BridgeClient.Open(options))
                using (FrameCopier copier = new FrameCopier())
                {
                    FrameLease frame = default(FrameLease);
                    Live.Until(() => client.WaitFrame(1000, out frame), "a frame");
                    int width = frame.Width, height = frame.Height;
                    byte[] texture = new byte[width * height * 4];
                    fixed (byte* pixels = texture)
                    {
                        Assert.IsFalse(copier.Copy(ref frame, pixels, texture.Length - 4));
                        Assert.IsTrue(copier.Copy(ref frame, pixels, texture.Length));
                        if (format == PictureFormat.Rgba)
                        {
                            // The texture's last row is the frame's first one.
                            byte* data = (byte*)frame.Data;
                            for (int at = 0; at < width * 4; ++at)
                            {
                                Assert.AreEqual(data[at], pixels[(height - 1) * width * 4 + at]);
                            }
                        }
                    }
                    frame.Dispose();
                    Assert.IsFalse(frame.HasPicture);
                    frame.Dispose();
                    string path = Path.Combine(Live.Folder, format == PictureFormat.Rgba ? "face.ppm" : "jpeg.ppm");
                    WritePpm(path, texture, width, height);
                }
            }
        }

        // On a grey ground, as an engine would blend it; the top row is the texture's last.
        private static void WritePpm(string path, byte[] texture, int width, int height)
        {
            using (FileStream file = File.Create(path))
            {
                byte[] head = Encoding.ASCII.GetBytes("P6 " + width + " " + height + " 255\n");
                file.Write(head, 0, head.Length);
                for (int row = height - 1; row >= 0; --row)
                {
                    for (int column = 0; column < width; ++column)
                    {
                        int at = (row * width + column) * 4;
                        for (int channel = 0; channel < 3; ++channel)
                        {
                            int alpha = texture[at + 3];
                            file.WriteByte((byte)((texture[at + channel] * alpha + 96 * (255 - alpha)) / 255));
                        }
                    }
                }
            }
        }

        [Test]
        public void The_picture_follows_the_voice_that_is_heard()
        {
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            {
                VoicePlayer player = new VoicePlayer();
                player.Clock.LatencySeconds = 0.02;
                FramePicker picker = new FramePicker();
                RigValues rig = new RigValues();
                float[] data = new float[960 * 2];
                double due = PlaybackClock.Now;
                int shown = 0, off = 0;
                long before = -1;
                Live.Until(() =>
                {
                    double now = PlaybackClock.Now;
                    while (now >= due)  // an audio callback of 20 ms
                    {
                        player.Fill(client, data, 2, 48000, due);
                        due += 0.02;
                    }
                    long heardNs;
                    if (!player.Clock.TryHeard(now, out heardNs)) return false;
                    FrameLease frame;
                    if (!picker.TryPick(client, player.Clock, now, out frame)) return false;
                    // On a busy computer a frame may come late; then the one before stays.
                    if (frame.PtsNs > heardNs || heardNs >= frame.PtsNs + frame.DurationNs) ++off;
                    if (frame.Epoch == 0) Assert.Greater(frame.Sequence, before);
                    before = frame.Sequence;
                    if (client.TryGetRigAt(heardNs, rig)) Assert.LessOrEqual(rig.PtsNs, heardNs + 400000000);
                    frame.Dispose();
                    return ++shown == 60;
                }, "60 frames picked by the voice");
                Assert.LessOrEqual(off, 12, "frames that were not those of the voice that is heard");
                Assert.Greater(rig.PtsNs, 0);
            }
        }

        [Test]
        public void Receiving_makes_no_garbage()
        {
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            using (FrameCopier copier = new FrameCopier())
            {
                Live.Until(() =>
                {
                    FrameLease first;
                    if (!client.WaitFrame(100, out first)) return false;
                    first.Dispose();
                    return true;
                }, "a frame");
                BridgeStatus status = new BridgeStatus();
                RigValues rig = new RigValues();
                VoicePlayer player = new VoicePlayer();
                FramePicker picker = new FramePicker();
                byte[] texture = new byte[512 * 512 * 4];
                float[] sound = new float[2048];
                int copied = 0;
                Garbage.None(5000, () =>
                {
                    copied += OneFrame(client, status, rig, player, picker, copier, texture, sound);
                });
                Assert.AreEqual(5050, copied);
            }
        }

        // What a game does in one frame; every one of them copies a picture.
        private static unsafe int OneFrame(
            BridgeClient client, BridgeStatus status, RigValues rig, VoicePlayer player, FramePicker picker,
            FrameCopier copier, byte[] texture, float[] sound)
        {
            client.Update(status);
            BridgeEvent happened;
            while (client.TryGetEvent(out happened))
            {
                happened.Is("speech");
                happened.Dispose();
            }
            player.Fill(client, sound, 2, 44100, PlaybackClock.Now);
            client.TryGetRig(rig);
            long mediaNs;
            player.Clock.TryHeard(PlaybackClock.Now, out mediaNs);
            FrameLease frame;
            if (picker.TryPick(client, player.Clock, PlaybackClock.Now, out frame)) frame.Dispose();
            if (!client.TryGetAt(long.MaxValue, out frame)) return 0;
            int done = 0;
            fixed (byte* pixels = texture) if (copier.Copy(ref frame, pixels, texture.Length)) done = 1;
            frame.Dispose();
            return done;
        }

        [Test]
        public void A_line_is_spoken_with_its_marks_and_another_one_is_cancelled()
        {
            Pcm pcm = WavFile.Read(File.ReadAllBytes(Live.Variable("WAV")));
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            using (SpeechSession session = new SpeechSession(client))
            {
                List<string> told = new List<string>();
                session.Happened += happened => told.Add(
                    happened.Line + ":" + happened.Kind + (happened.Mark != "" ? "=" + happened.Mark : ""));
                double middle = pcm.Seconds / 2;
                Task<SpeechResult> first = session.SpeakAsync(
                    pcm, new[] { new SpeechMark("bow", 0), new SpeechMark("turn", middle) }, "greeting");
                Task<SpeechResult> second;
                using (CancellationTokenSource cancel = new CancellationTokenSource())
                {
                    second = session.SpeakAsync(pcm, null, "farewell", cancel.Token);
                    Pump(client, session, () => first.IsCompleted);
                    Assert.AreEqual(SpeechOutcome.Spoken, first.Result.Outcome);
                    Assert.AreEqual(pcm.Seconds, first.Result.PositionSeconds, 0.01);
                    Pump(client, session, () => told.Contains("farewell:Started"));
                    cancel.Cancel();
                    Pump(client, session, () => second.IsCompleted);
                }
                Assert.IsTrue(second.IsCanceled);
                CollectionAssert.AreEqual(
                    new[]
                    {
                        "greeting:Started", "greeting:Mark=bow", "greeting:Mark=turn", "greeting:Finished",
                        "farewell:Started"
                    }, told.GetRange(0, 5));
                Assert.AreEqual(0, session.NumLines);
            }
        }

        [Test]
        public void Flush_ends_all_lines_at_once_also_those_that_never_left()
        {
            Pcm pcm = WavFile.Read(File.ReadAllBytes(Live.Variable("WAV")));
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            using (SpeechSession session = new SpeechSession(client))
            {
                bool started = false;
                session.Happened += happened => started |= happened.Kind == SpeechEventKind.Started;
                Task<SpeechResult> first = session.SpeakAsync(pcm);
                Task<SpeechResult> second = session.SpeakAsync(pcm);
                Pump(client, session, () => started);
                SpeechLine open = session.Open(16000);
                Task flushed = session.FlushAsync();
                Pump(client, session, () => flushed.IsCompleted);
                Assert.IsFalse(flushed.IsFaulted, "" + flushed.Exception);
                open.End();
                Pump(client, session, () => first.IsCompleted && second.IsCompleted && open.Finished.IsCompleted);
                Assert.AreEqual(SpeechOutcome.Interrupted, first.Result.Outcome);
                Assert.AreEqual(SpeechOutcome.Interrupted, second.Result.Outcome);
                Assert.AreEqual(SpeechOutcome.Interrupted, open.Finished.Result.Outcome);
                Assert.Less(first.Result.PositionSeconds, pcm.Seconds);
            }
        }

        internal static void Pump(BridgeClient client, SpeechSession session, Func<bool> until)
        {
            BridgeStatus status = new BridgeStatus();
            Live.Until(() =>
            {
                client.Update(status);
                session.Update(status);
                BridgeEvent happened;
                while (client.TryGetEvent(out happened))
                {
                    session.Handle(ref happened);
                    happened.Dispose();
                }
                return until();
            }, "the end of the lines", 90);
        }

        [Test]
        public void Requests_are_answered_or_refused_with_the_daemons_sentence()
        {
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            {
                Dictionary<string, object> reply = client.Request("status");
                Assert.IsInstanceOf<string>(reply["phase"]);
                Assert.IsInstanceOf<List<object>>(reply["outputs"]);
                reply = client.RequestAsync(
                    "expression", new Dictionary<string, object> { { "name", "happy" }, { "strength", 0.5 } }).Result;
                Assert.IsTrue(reply.ContainsKey("names"));
                client.Request("expression", new Dictionary<string, object> { { "reset", true } });
                BridgeException error = Assert.Throws<BridgeException>(() => client.Request("dance"));
                Assert.AreEqual(BridgeFailure.Refused, error.Failure);
                StringAssert.Contains("dance", error.Message);
                Assert.Throws<BridgeException>(
                    () => client.Request("mute", new Dictionary<string, object> { { "on", new object() } }));
                Assert.Less(Math.Abs(client.ClockOffsetNs()), 100000000);  // one computer, perhaps a busy one
            }
        }

        [Test]
        public void Closing_while_every_thread_is_busy_harms_nobody()
        {
            for (int round = 0; round < 5; ++round)
            {
                BridgeClient client = BridgeClient.Open(Live.Options());
                SpeechSession session = new SpeechSession(client);
                Task<SpeechResult> line = session.SpeakAsync(new Pcm(new float[48000], 48000));
                bool stop = false;
                Thread audio = new Thread(() =>
                {
                    VoicePlayer player = new VoicePlayer();
                    float[] data = new float[512];
                    while (!Volatile.Read(ref stop)) player.Fill(client, data, 2, 48000, PlaybackClock.Now);
                });
                audio.Start();
                Task<Dictionary<string, object>> request = client.RequestAsync("status");
                Thread.Sleep(5 * round);
                Assert.AreEqual(1, OpenClients.Count);
                OpenClients.CloseAll();  // as before a domain reload
                Assert.AreEqual(0, OpenClients.Count);
                session.Dispose();
                client.Dispose();
                Thread.Sleep(2);
                Volatile.Write(ref stop, true);
                Assert.IsTrue(audio.Join(2000));
                try
                {
                    Assert.IsTrue(request.Wait(2000));
                }
                catch (AggregateException error)
                {
                    Assert.IsInstanceOf<BridgeException>(error.InnerException);
                }
                Assert.IsTrue(line.IsCompleted);
                FrameLease frame;
                Assert.IsFalse(client.TryGetLatest(out frame));
            }
        }
    }

    /// <summary>The daemon is killed and started again by pytest, which writes and reads files.</summary>
    [TestFixture, Category("restart")]
    public sealed class RestartTests
    {
        private static bool TakesSpeech(BridgeClient client)
        {
            try
            {
                client.Request("speech");
                return true;
            }
            catch (BridgeException)
            {
                return false;
            }
        }

        [Test]
        public void After_the_daemons_death_the_picture_stays_lines_are_lost_and_all_comes_back()
        {
            Pcm pcm = new Pcm(new float[48000 * 20], 48000);
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            using (SpeechSession session = new SpeechSession(client))
            {
                BridgeStatus status = new BridgeStatus();
                LiveTests.Pump(client, session, () => { client.Update(status); return status.Frames > 10; });
                string stream = status.Stream;
                Task<SpeechResult> line = session.SpeakAsync(pcm);
                bool started = false;
                session.Happened += happened => started |= happened.Kind == SpeechEventKind.Started;
                LiveTests.Pump(client, session, () => started);
                File.WriteAllText(Path.Combine(Live.Folder, "kill"), "");
                LiveTests.Pump(client, session, () => line.IsCompleted);
                Assert.AreEqual(SpeechOutcome.Lost, line.Result.Outcome);
                client.Update(status);
                FrameLease frame;
                Assert.IsTrue(client.TryGetAt(0, out frame));  // the last picture
                frame.Dispose();
                if (!status.Connected) StringAssert.Contains("rest-bridge run", status.Describe());
                File.WriteAllText(Path.Combine(Live.Folder, "again"), "");
                LiveTests.Pump(client, session, () => { client.Update(status); return status.Streams == 2; });
                long frames = status.Frames;
                LiveTests.Pump(client, session, () => { client.Update(status); return status.Frames > frames + 10; });
                Assert.AreNotEqual(stream, status.Stream);
                StringAssert.StartsWith("Connected to", status.Describe());
                // Pictures come before the daemon has opened its voice.
                LiveTests.Pump(client, session, () => TakesSpeech(client));
                Task<SpeechResult> next = session.SpeakAsync(new Pcm(new float[4800], 48000));
                LiveTests.Pump(client, session, () => next.IsCompleted);
                Assert.AreEqual(SpeechOutcome.Spoken, next.Result.Outcome);
            }
        }
    }

    /// <summary>A server of another version, and one that sends garbage; both in pytest.</summary>
    [TestFixture, Category("hostile")]
    public sealed class HostileTests
    {
        [Test]
        public void Garbage_and_other_versions_are_counted_explained_and_harmless()
        {
            using (BridgeClient client = BridgeClient.Open(Live.Options()))
            {
                BridgeStatus status = new BridgeStatus();
                StringAssert.Contains("No daemon", status.Describe());
                // Between two of another version something else is refused: any may be the newest.
                Live.Until(() =>
                {
                    client.Update(status);
                    return status.Refused > 20 && status.Refusal.Contains("version");
                }, "refusals, of another version too");
                Assert.IsFalse(status.Connected);
                StringAssert.Contains("Update the older", status.Describe());
                FrameLease frame;
                Assert.IsFalse(client.TryGetLatest(out frame));
                File.WriteAllText(Path.Combine(Live.Folder, "better"), "");
                Live.Until(() => client.TryGetLatest(out frame), "the good frame among the bad");
                Assert.AreEqual(12345, frame.Sequence);
                frame.Dispose();
            }
        }

        [Test]
        public void The_key_file_of_the_daemon_opens_its_stream_and_another_daemons_does_not()
        {
            foreach (string name in new[] { "good.key", "other.key" })
            {
                BridgeOptions options = new BridgeOptions
                {
                    Frames = Live.Variable("LOCKED"), Events = "", Control = "",
                    Keys = ClientKeys.Load(Path.Combine(Live.Folder, name))
                };
                using (BridgeClient client = BridgeClient.Open(options))
                {
                    FrameLease frame;
                    bool found = client.WaitFrame(name == "good.key" ? 20000 : 1000, out frame);
                    Assert.AreEqual(name == "good.key", found, name);
                    frame.Dispose();
                }
            }
        }

        [Test]
        public void Wrong_options_are_sentences()
        {
            BridgeOptions options = new BridgeOptions { HistoryFrames = 0 };
            BridgeException error = Assert.Throws<BridgeException>(() => BridgeClient.Open(options));
            StringAssert.Contains("history_frames", error.Message);
            options = new BridgeOptions { Frames = "here" };
            error = Assert.Throws<BridgeException>(() => BridgeClient.Open(options));
            Assert.AreEqual(BridgeFailure.System, error.Failure);
            Assert.Throws<BridgeException>(() => new Pcm(new float[1], 100));
            Assert.AreEqual("tcp://10.0.0.5:7002", BridgeOptions.At("10.0.0.5", 7000).Control);
            Assert.AreEqual("1.0.0", BridgeClient.LibraryVersion);
        }

        [Test]
        public void Speech_to_a_daemon_that_is_not_there_fails_with_a_sentence()
        {
            BridgeOptions options = new BridgeOptions { Frames = "", Events = "", Control = Live.Variable("NOBODY") };
            using (BridgeClient client = BridgeClient.Open(options))
            using (SpeechSession session = new SpeechSession(client))
            {
                Task<SpeechResult> line = session.SpeakAsync(new Pcm(new float[100], 16000));
                AggregateException error = Assert.Throws<AggregateException>(() => line.Wait(20000));
                StringAssert.Contains("is it running?", error.InnerException.Message);
                Assert.AreEqual(0, session.NumLines);
            }
        }
    }
}
