// SPDX-License-Identifier: MIT
#pragma once

#include "CoreMinimal.h"
#include "Components/SceneComponent.h"
#include "RestBridgeTypes.h"
#include "Templates/PimplPtr.h"
#include "RestBridgeFaceComponent.generated.h"

class UAudioComponent;
class URestBridgeVoiceWave;
class USoundAttenuation;
class UTexture2D;

DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FRestBridgeStateEvent, ERestBridgeState, State);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FRestBridgeTextureEvent, UTexture2D*, Texture);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FRestBridgeLine, const FRestBridgeLineEvent&, Event);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_FourParams(FRestBridgeReply, int64, Id, bool, bOk, const FString&, Error, const FString&, Json);

/**
 * A face that speaks, from a running rest_bridge daemon. Attach it to a mesh whose material has a
 * texture parameter "Face", or show its Texture in a widget. It plays the voice where it stands
 * and shows the picture of the sample that is heard.
 */
UCLASS(ClassGroup = (RestBridge), meta = (BlueprintSpawnableComponent, DisplayName = "Rest Bridge Face"))
class RESTBRIDGE_API URestBridgeFaceComponent : public USceneComponent
{
	GENERATED_BODY()

public:
	URestBridgeFaceComponent();

	/** Connect when play begins. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	bool bAutoConnect = true;

	/** Off: no sound here, and always the newest picture. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	bool bPlayVoice = true;

	/** How the voice fades with distance; none: everywhere the same. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	TObjectPtr<USoundAttenuation> Attenuation;

	/** Material slot of the mesh that this is attached to. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	int32 MaterialSlot = 0;

	/** Texture parameter of that material. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	FName TextureParameter = TEXT("Face");

	/** Also sends the 52 ARKit curves, head and eyes as this Live Link subject, in time with the voice; none: not. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	FName LiveLinkSubject;

	/** The face, as rest-bridge's own name, picture or avatar file; empty: whatever the daemon shows. */
	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Rest Bridge")
	FString Avatar;

	/** happy, sad, angry, surprised, ...; empty: neutral, or whatever the daemon was told. */
	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Rest Bridge")
	FString Expression;

	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Rest Bridge", meta = (ClampMin = "0", ClampMax = "1"))
	float ExpressionStrength = 1.0f;

	/** What is seen now: BGRA, sRGB, straight alpha. Another object when the size changes. */
	UPROPERTY(BlueprintReadOnly, Transient, Category = "Rest Bridge")
	TObjectPtr<UTexture2D> Texture;

	UPROPERTY(BlueprintAssignable, Category = "Rest Bridge")
	FRestBridgeStateEvent OnStateChanged;

	UPROPERTY(BlueprintAssignable, Category = "Rest Bridge")
	FRestBridgeTextureEvent OnTextureChanged;

	UPROPERTY(BlueprintAssignable, Category = "Rest Bridge")
	FRestBridgeLine OnLineStarted;

	UPROPERTY(BlueprintAssignable, Category = "Rest Bridge")
	FRestBridgeLine OnLineMark;

	/** Every line that was opened gets exactly one. */
	UPROPERTY(BlueprintAssignable, Category = "Rest Bridge")
	FRestBridgeLine OnLineFinished;

	/** The answer to Request. */
	UPROPERTY(BlueprintAssignable, Category = "Rest Bridge")
	FRestBridgeReply OnReply;

	/** Succeeds whether the daemon runs or not; false if settings or keys cannot be used (see Status > Problem). */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge")
	bool Connect();

	UFUNCTION(BlueprintCallable, Category = "Rest Bridge")
	void Disconnect();

	/** Speaks the bytes of a 16-bit .wav. Returns the line's name, empty if the bytes are no such sound. Lines wait for one another. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge|Speech")
	FString SpeakWav(const TArray<uint8>& WavBytes, const TArray<FRestBridgeMark>& Marks);

	/** Speaks 16-bit little-endian PCM. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge|Speech")
	FString SpeakPcm(const TArray<uint8>& Pcm, int32 SampleRate, int32 Channels, const TArray<FRestBridgeMark>& Marks);

	/** For speech that is still being made: open, push as it comes, end. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge|Speech")
	FString OpenLine(int32 SampleRate, int32 Channels);

	UFUNCTION(BlueprintCallable, Category = "Rest Bridge|Speech")
	void PushLine(const FString& Line, const TArray<uint8>& Pcm);

	UFUNCTION(BlueprintCallable, Category = "Rest Bridge|Speech")
	void EndLine(const FString& Line);

	/** Interrupts these lines, or all of this component's: the face falls silent within two pictures. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge|Speech")
	void Flush(const TArray<FString>& Lines);

	/** Kept, and asked for again when the daemon was restarted. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge")
	void SetExpression(const FString& Name, float Strength = 1.0f);

	/** A built-in face, picture or avatar file of the daemon's computer. Kept, as the expression. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge")
	void SetAvatar(const FString& Name);

	/** Any operation of PROTOCOL.md with texts as arguments; OnReply brings the answer. */
	UFUNCTION(BlueprintCallable, Category = "Rest Bridge")
	int64 Request(const FString& Operation, const TMap<FString, FString>& Arguments);

	UFUNCTION(BlueprintPure, Category = "Rest Bridge")
	FRestBridgeStatus GetStatus() const;

	/** A value of the picture on show: JawOpen, EyeBlinkLeft, HeadYaw (radians), ... */
	UFUNCTION(BlueprintPure, Category = "Rest Bridge")
	float GetCurve(FName Name) const;

	//~ UActorComponent
	virtual void BeginPlay() override;
	virtual void EndPlay(const EEndPlayReason::Type EndPlayReason) override;
	virtual void TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction) override;
	//~ UObject
	virtual void BeginDestroy() override;

private:
	struct FImpl;

	void StartVoice();
	void StopVoice();
	void StartLiveLink();
	void TellNews();
	void ShowPicture(int64 NowNs);
	void DressMesh();

	TPimplPtr<FImpl> Impl;

	UPROPERTY(Transient)
	TObjectPtr<UAudioComponent> Voice;

	UPROPERTY(Transient)
	TObjectPtr<URestBridgeVoiceWave> VoiceWave;
};
