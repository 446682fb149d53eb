// SPDX-License-Identifier: MIT
#include "RestBridgeFaceComponent.h"

#include "Components/AudioComponent.h"
#include "Components/PrimitiveComponent.h"
#include "Core/CurveTable.h"
#include "Core/WavFile.h"
#include "Engine/Texture2D.h"
#include "Features/IModularFeatures.h"
#include "GameFramework/Actor.h"
#include "ILiveLinkClient.h"
#include "Materials/MaterialInstanceDynamic.h"
#include "RestBridgeLiveLinkSource.h"
#include "RestBridgeModule.h"
#include "RestBridgeSession.h"
#include "RestBridgeTexture.h"
#include "RestBridgeVoiceWave.h"
#include "Sound/SoundAttenuation.h"

struct URestBridgeFaceComponent::FImpl
{
	std::shared_ptr<RestBridgeCore::Session> Session;
	RestBridgeCore::News News;
	RestBridgeCore::Curves Curves{};
	FRestBridgeTexture Uploads;
	TSharedPtr<FRestBridgeLiveLinkSource> LiveLink;
	FString Problem;
};

URestBridgeFaceComponent::URestBridgeFaceComponent()
	: Impl(MakePimpl<FImpl>())
{
	PrimaryComponentTick.bCanEverTick = true;
	// After game logic, so that what it has just said leaves in the same frame.
	PrimaryComponentTick.TickGroup = TG_PostUpdateWork;
}

void URestBridgeFaceComponent::BeginPlay()
{
	Super::BeginPlay();
	if (bAutoConnect)
	{
		Connect();
	}
}

void URestBridgeFaceComponent::EndPlay(const EEndPlayReason::Type EndPlayReason)
{
	Disconnect();
	Super::EndPlay(EndPlayReason);
}

void URestBridgeFaceComponent::BeginDestroy()
{
	Disconnect();
	Super::BeginDestroy();
}

bool URestBridgeFaceComponent::Connect()
{
	Disconnect();
	Impl->Session = RestBridge::OpenSession(true, bPlayVoice, Impl->Problem);
	if (!Impl->Session)
	{
		UE_LOG(LogRestBridge, Error, TEXT("%s: %s"), *GetPathName(), *Impl->Problem);
		return false;
	}
	FRestBridgeModule::Get().AddFace(this);
	SetExpression(Expression, ExpressionStrength);
	SetAvatar(Avatar);
	StartVoice();
	StartLiveLink();
	OnStateChanged.Broadcast(ERestBridgeState::Waiting);
	return true;
}

void URestBridgeFaceComponent::Disconnect()
{
	// The class default object is destroyed too, and may come after the module is gone.
	if (!Impl || !Impl->Session)
	{
		return;
	}
	StopVoice();
	if (Impl->LiveLink.IsValid())
	{
		IModularFeatures& Features = IModularFeatures::Get();
		if (Features.IsModularFeatureAvailable(ILiveLinkClient::ModularFeatureName))
		{
			Features.GetModularFeature<ILiveLinkClient>(ILiveLinkClient::ModularFeatureName).RemoveSource(Impl->LiveLink);
		}
		Impl->LiveLink.Reset();
	}
	Impl->Session.reset();
	FRestBridgeModule::Get().RemoveFace(this);
	OnStateChanged.Broadcast(ERestBridgeState::Off);
}

void URestBridgeFaceComponent::StartVoice()
{
	AActor* Owner = GetOwner();
	if (!bPlayVoice || Owner == nullptr)
	{
		return;
	}
	VoiceWave = NewObject<URestBridgeVoiceWave>(this);
	VoiceWave->SetSession(Impl->Session);
	Voice = NewObject<UAudioComponent>(Owner);
	Voice->bAutoActivate = false;
	Voice->bAutoDestroy = false;
	Voice->bAllowSpatialization = Attenuation != nullptr;
	Voice->AttenuationSettings = Attenuation;
	Voice->SetSound(VoiceWave);
	Voice->SetupAttachment(this);
	Voice->RegisterComponent();
	Voice->Play();
}

void URestBridgeFaceComponent::StopVoice()
{
	if (VoiceWave != nullptr)
	{
		VoiceWave->SetSession(nullptr);  // the audio thread lets go of the session here
		VoiceWave = nullptr;
	}
	if (Voice != nullptr)
	{
		Voice->Stop();
		Voice->DestroyComponent();
		Voice = nullptr;
	}
}

void URestBridgeFaceComponent::StartLiveLink()
{
	IModularFeatures& Features = IModularFeatures::Get();
	if (LiveLinkSubject.IsNone() || !Features.IsModularFeatureAvailable(ILiveLinkClient::ModularFeatureName))
	{
		return;
	}
	Impl->LiveLink = MakeShared<FRestBridgeLiveLinkSource>(LiveLinkSubject, nullptr);
	Features.GetModularFeature<ILiveLinkClient>(ILiveLinkClient::ModularFeatureName).AddSource(Impl->LiveLink);
}

void URestBridgeFaceComponent::TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction)
{
	Super::TickComponent(DeltaTime, TickType, ThisTickFunction);
	if (!Impl->Session)
	{
		return;
	}
	const int64 NowNs = rb_now_ns();
	Impl->Session->Tick(NowNs, &Impl->News);
	ShowPicture(NowNs);
	rb_rig Rig;
	if (Impl->Session->NextRig(NowNs, &Rig))
	{
		Impl->Curves = RestBridgeCore::ToCurves(Rig);
		if (Impl->LiveLink.IsValid())
		{
			Impl->LiveLink->Push(Impl->Curves);
		}
	}
	TellNews();  // last: a handler may disconnect
}

void URestBridgeFaceComponent::ShowPicture(int64 NowNs)
{
	if (Impl->Uploads.Update(*Impl->Session, NowNs, Texture))
	{
		DressMesh();
		OnTextureChanged.Broadcast(Texture);
	}
}

void URestBridgeFaceComponent::DressMesh()
{
	UPrimitiveComponent* Mesh = Cast<UPrimitiveComponent>(GetAttachParent());
	if (Mesh == nullptr || MaterialSlot < 0 || MaterialSlot >= Mesh->GetNumMaterials())
	{
		return;
	}
	UMaterialInstanceDynamic* Material = Mesh->CreateAndSetMaterialInstanceDynamic(MaterialSlot);
	if (Material != nullptr)
	{
		Material->SetTextureParameterValue(TextureParameter, Texture);
	}
}

void URestBridgeFaceComponent::TellNews()
{
	// Handlers may say new lines or disconnect: the news are taken out before they are told.
	RestBridgeCore::News News;
	std::swap(News, Impl->News);
	if (News.link.came)
	{
		OnStateChanged.Broadcast(ERestBridgeState::Live);
	}
	if (News.link.went)
	{
		OnStateChanged.Broadcast(ERestBridgeState::Lost);
	}
	for (const RestBridgeCore::LineEvent& Event : News.lines)
	{
		FRestBridgeLineEvent Out;
		Out.Line = RestBridge::FromUtf8(Event.line);
		Out.Mark = RestBridge::FromUtf8(Event.mark);
		Out.Position = static_cast<float>(static_cast<double>(Event.position_ns) * 1e-9);
		Out.bInterrupted = Event.interrupted;
		Out.Error = RestBridge::FromUtf8(Event.error);
		switch (Event.kind)
		{
		case RestBridgeCore::LineEvent::Kind::kStarted:
			OnLineStarted.Broadcast(Out);
			break;
		case RestBridgeCore::LineEvent::Kind::kMark:
			OnLineMark.Broadcast(Out);
			break;
		case RestBridgeCore::LineEvent::Kind::kFinished:
			OnLineFinished.Broadcast(Out);
			break;
		}
	}
	for (const RestBridgeCore::Reply& Reply : News.replies)
	{
		if (Reply.result != RB_OK)
		{
			UE_LOG(LogRestBridge, Warning, TEXT("%s: %s"), *RestBridge::FromUtf8(Reply.operation), *RestBridge::FromUtf8(Reply.error));
		}
		OnReply.Broadcast(Reply.id, Reply.result == RB_OK, RestBridge::FromUtf8(Reply.error), RestBridge::FromUtf8(Reply.json));
	}
}

FString URestBridgeFaceComponent::SpeakWav(const TArray<uint8>& WavBytes, const TArray<FRestBridgeMark>& Marks)
{
	RestBridgeCore::Wav Wav;
	std::string Error;
	if (!RestBridgeCore::ParseWav(WavBytes.GetData(), static_cast<size_t>(WavBytes.Num()), &Wav, &Error))
	{
		UE_LOG(LogRestBridge, Error, TEXT("SpeakWav: %s"), *RestBridge::FromUtf8(Error));
		return FString();
	}
	const int32 NumBytes = static_cast<int32>(Wav.num_samples * Wav.channels * sizeof(int16));
	return SpeakPcm(TArray<uint8>(Wav.pcm, NumBytes), static_cast<int32>(Wav.rate_hz), static_cast<int32>(Wav.channels), Marks);
}

static std::vector<int16_t> ToSamples(const TArray<uint8>& Pcm)
{
	// All platforms that Unreal knows are little-endian.
	std::vector<int16_t> Samples(static_cast<size_t>(Pcm.Num()) / sizeof(int16_t));
	if (!Samples.empty())
	{
		FMemory::Memcpy(Samples.data(), Pcm.GetData(), Samples.size() * sizeof(int16_t));
	}
	return Samples;
}

FString URestBridgeFaceComponent::SpeakPcm(const TArray<uint8>& Pcm, int32 SampleRate, int32 Channels, const TArray<FRestBridgeMark>& Marks)
{
	const FString Line = OpenLine(SampleRate, Channels);
	if (Line.IsEmpty())
	{
		return Line;
	}
	std::vector<RestBridgeCore::Mark> Places;
	for (const FRestBridgeMark& Mark : Marks)
	{
		const float Seconds = FMath::Max(Mark.Seconds, 0.0f);
		Places.push_back({static_cast<size_t>(Seconds * static_cast<float>(SampleRate)), RestBridge::ToUtf8(Mark.Name)});
	}
	Impl->Session->PushLine(RestBridge::ToUtf8(Line), ToSamples(Pcm), MoveTemp(Places));
	EndLine(Line);
	return Line;
}

FString URestBridgeFaceComponent::OpenLine(int32 SampleRate, int32 Channels)
{
	if (!Impl->Session || SampleRate < 8000 || SampleRate > 192000 || Channels < 1 || Channels > 2)
	{
		UE_LOG(LogRestBridge, Error, TEXT("A line needs a connection, 8000 to 192000 Hz and one or two channels; it has %d Hz and %d."), SampleRate, Channels);
		return FString();
	}
	return RestBridge::FromUtf8(Impl->Session->OpenLine("", static_cast<uint32_t>(SampleRate), static_cast<uint32_t>(Channels)));
}

void URestBridgeFaceComponent::PushLine(const FString& Line, const TArray<uint8>& Pcm)
{
	if (Impl->Session)
	{
		Impl->Session->PushLine(RestBridge::ToUtf8(Line), ToSamples(Pcm), {});
	}
}

void URestBridgeFaceComponent::EndLine(const FString& Line)
{
	if (Impl->Session)
	{
		Impl->Session->EndLine(RestBridge::ToUtf8(Line));
	}
}

void URestBridgeFaceComponent::Flush(const TArray<FString>& Lines)
{
	if (!Impl->Session)
	{
		return;
	}
	std::vector<std::string> Names;
	for (const FString& Line : Lines)
	{
		Names.push_back(RestBridge::ToUtf8(Line));
	}
	Impl->Session->Flush(MoveTemp(Names));
}

void URestBridgeFaceComponent::SetExpression(const FString& Name, float Strength)
{
	Expression = Name;
	ExpressionStrength = FMath::Clamp(Strength, 0.0f, 1.0f);
	if (Impl->Session)
	{
		Impl->Session->WishExpression(RestBridge::ToUtf8(Name), static_cast<double>(ExpressionStrength));
	}
}

void URestBridgeFaceComponent::SetAvatar(const FString& Name)
{
	Avatar = Name;
	if (Impl->Session)
	{
		Impl->Session->WishAvatar(RestBridge::ToUtf8(Name));
	}
}

int64 URestBridgeFaceComponent::Request(const FString& Operation, const TMap<FString, FString>& Arguments)
{
	if (!Impl->Session)
	{
		return 0;
	}
	RestBridgeCore::Arguments Out;
	for (const TPair<FString, FString>& Argument : Arguments)
	{
		// Blueprint has no value of any kind: what reads as a truth or a number is sent as one.
		const FString& Text = Argument.Value;
		RestBridgeCore::Argument Value = RestBridge::ToUtf8(Text);
		if (Text == TEXT("true") || Text == TEXT("false"))
		{
			Value = Text == TEXT("true");
		}
		else if (Text.IsNumeric())
		{
			Value = FCString::Atod(*Text);
		}
		Out.emplace_back(RestBridge::ToUtf8(Argument.Key), Value);
	}
	return Impl->Session->Request(RestBridge::ToUtf8(Operation), Out);
}

FRestBridgeStatus URestBridgeFaceComponent::GetStatus() const
{
	FRestBridgeStatus Out;
	Out.Problem = Impl->Problem;
	if (!Impl->Session)
	{
		return Out;
	}
	const RestBridgeCore::View View = Impl->Session->Look();
	const rb_status& Status = View.status;
	switch (Impl->Session->state())
	{
	case RestBridgeCore::LinkState::kWaiting:
		Out.State = ERestBridgeState::Waiting;
		break;
	case RestBridgeCore::LinkState::kLive:
		Out.State = ERestBridgeState::Live;
		break;
	case RestBridgeCore::LinkState::kLost:
		Out.State = ERestBridgeState::Lost;
		break;
	}
	Out.Server = UTF8_TO_TCHAR(Status.server);
	Out.Activity = UTF8_TO_TCHAR(Status.state);
	Out.Size = FIntPoint(static_cast<int32>(Status.width_px), static_cast<int32>(Status.height_px));
	Out.FramesPerSecond = static_cast<float>(Status.fps);
	Out.Frames = static_cast<int64>(Status.frames);
	Out.FramesLost = static_cast<int64>(Status.frames_lost);
	Out.FramesHeldUp = Impl->Uploads.GetHeldUp();
	Out.VoiceUnderruns = static_cast<int64>(View.voice.underruns);
	if (Out.Problem.IsEmpty())
	{
		Out.Problem = RestBridge::FromUtf8(View.refusal);
	}
	return Out;
}

float URestBridgeFaceComponent::GetCurve(FName Name) const
{
	const auto& Names = RestBridgeCore::CurveNames();
	const std::string Wanted = RestBridge::ToUtf8(Name.ToString());
	for (size_t Index = 0; Index < Names.size(); ++Index)
	{
		// Names of Unreal do not distinguish capitals.
		if (FCStringAnsi::Stricmp(Names[Index].c_str(), Wanted.c_str()) == 0)
		{
			return Impl->Curves[Index];
		}
	}
	return 0.0f;
}
